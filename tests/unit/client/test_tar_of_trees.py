"""Trees as tar and back: any names, holes and numbers; what is broken is said, never taken for whole."""

import asyncio
import io
import os
import random
import stat
import tarfile
from collections.abc import AsyncIterator

import pytest

from trivet.client.backup.tar_reading import TarReader
from trivet.client.backup.tar_writing import TarWriter, time_ns_of, time_text
from trivet.client.backup.tree_entry import Span, TreeEntry
from trivet.errors import InputError
from trivet.volume.interface import Attributes

Told = tuple[bytes, Attributes, bytes, bytes | None, dict[bytes, bytes], list[Span], bytes]


def attributes(mode: int, size: int = 0, uid: int = 0, mtime_ns: int = 0, rdev: int = 0) -> Attributes:
    """Return attributes that an archive can tell."""
    return Attributes(0, mode, 1, uid, uid + 1, rdev, size, mtime_ns + 1, mtime_ns, mtime_ns)


def a_file(path: bytes, size: int, spans: list[Span], xattrs: dict[bytes, bytes] | None = None) -> TreeEntry:
    """Return a file whose bytes are told by their places."""

    async def read(offset: int, length: int) -> bytes:
        assert any(start <= offset and offset + length <= end for start, end in spans)
        return body_at(offset, length)

    found = attributes(stat.S_IFREG | 0o4751, size, uid=len(path) << 20, mtime_ns=-size * 1_000_003)
    return TreeEntry(path, found, xattrs=xattrs or {}, spans=spans, read=read)


def body_at(offset: int, length: int) -> bytes:
    """Return the bytes every file has at a place."""
    return bytes((offset + at) % 251 for at in range(length))


def some_tree() -> list[TreeEntry]:
    """Return one of everything that tar has."""
    mib = 1 << 20
    return [
        TreeEntry(b"", attributes(stat.S_IFDIR | 0o1777)),
        TreeEntry(b"\xff\n" * 100, attributes(stat.S_IFDIR | 0o700), xattrs={b"user.\xfe": b"\0\xff=\n"}),
        a_file(b"\xff\n" * 100 + b"/x", 700, [(0, 700)], {b"user.a": b"b" * 9_000, b"trusted.c": b""}),
        a_file(b"empty", 0, []),
        a_file(b"small hole", 9_000, [(4096, 8192)]),
        a_file(b"holes", 40 * mib + 5, [(4096, 8192), (mib, mib + 4096), (40 * mib, 40 * mib + 5)]),
        a_file(b"only a hole", 1 << 40, []),
        a_file(b"many holes", 8192 * 300, [(at * 8192, at * 8192 + 4096) for at in range(300)]),
        TreeEntry(b"again", attributes(stat.S_IFREG | 0o600), link=b"\xff\n" * 100 + b"/x"),
        TreeEntry(b"link", attributes(stat.S_IFLNK | 0o777), b"\xff/" * 200),
        TreeEntry(b"fifo", attributes(stat.S_IFIFO | 0o644)),
        TreeEntry(b"disk", attributes(stat.S_IFBLK | 0o660, rdev=os.makedev(8, 70_000))),
    ]


def packed(entries: list[TreeEntry]) -> bytes:
    """Return the archive of `entries`."""
    out = io.BytesIO()

    async def write(data: bytes) -> None:
        out.write(data)

    async def listed() -> AsyncIterator[TreeEntry]:
        for entry in entries:
            yield entry

    asyncio.run(TarWriter(write).write_all(listed()))
    return out.getvalue()


def unpacked(archive: bytes) -> list[Told]:
    """Return what an archive holds."""

    async def read_all() -> list[Told]:
        found = []
        async for entry in TarReader(io.BytesIO(archive), "the archive").entries():
            pieces = [await entry.read(start, end - start) for start, end in entry.spans]
            told = entry.path, entry.attributes, entry.target, entry.link, dict(entry.xattrs)
            found.append((*told, list(entry.spans), b"".join(pieces)))
        return found

    return asyncio.run(read_all())


def test_everything_comes_back_as_it_was() -> None:
    tree = some_tree()
    for entry, (path, found, target, link, xattrs, spans, data) in zip(
        tree, unpacked(packed(tree)), strict=True
    ):
        assert (path, target, link, xattrs) == (entry.path, entry.target, entry.link, entry.xattrs)
        if link is not None:
            continue
        assert found.mtime_ns == entry.attributes.mtime_ns
        assert found.atime_ns == entry.attributes.atime_ns
        for name in ("mode", "uid", "gid", "rdev", "size"):
            assert getattr(found, name) == getattr(entry.attributes, name), (path, name)
        at = 0
        for start, end in spans:
            for place in range(start, end, 512):
                is_held = any(low <= place < high for low, high in entry.spans)
                assert data[at] == (place % 251 if is_held else 0)
                at += min(512, end - place)
        assert at == len(data)
        assert at <= max(entry.held_bytes, 9_000), "holes were written out"


@pytest.mark.parametrize("time_ns", [0, 1, -1, 999_999_999, -1_500_000_000, 1 << 62, -(1 << 62)])
def test_times_are_told_to_the_nanosecond(time_ns: int) -> None:
    assert time_ns_of(time_text(time_ns).decode()) == time_ns


def test_an_archive_cut_off_anywhere_is_refused() -> None:
    archive = packed(some_tree()[:6] + some_tree()[8:])
    assert len(unpacked(archive)) == 10
    places = {512, 1024, len(archive) - 1024, *random.Random(1).sample(range(len(archive) - 1024), 60)}
    for place in places:
        with pytest.raises(InputError):
            unpacked(archive[:place])


def a_member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """Return an archive of one header."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello world\n" * 1000, id="no tar"),
        pytest.param(a_member("../outside"), id="outside"),
        pytest.param(a_member("a/../../b"), id="outside later"),
        pytest.param(a_member("huge", tarfile.XHDTYPE, size=1 << 32), id="a header beyond memory"),
        pytest.param(a_member("x", b"V"), id="a kind nobody knows"),
        pytest.param(a_member("x", pax_headers={"mtime": "soon"}), id="no time"),
        pytest.param(
            a_member("x", pax_headers={"GNU.sparse.map": "5,9,3,4", "GNU.sparse.size": "20"}, size=512),
            id="a map that goes back",
        ),
        pytest.param(b"\x1f\x8b\x08" + bytes(100), id="no gzip"),
    ],
)
def test_what_makes_no_sense_is_refused(archive: bytes) -> None:
    with pytest.raises(InputError):
        unpacked(archive)


def test_a_spoilt_header_is_not_taken_for_the_end() -> None:
    archive = bytearray(packed(some_tree()))
    archive[archive.index(b"ustar", len(archive) // 3)] ^= 1
    with pytest.raises(InputError, match="members"):
        unpacked(bytes(archive))
