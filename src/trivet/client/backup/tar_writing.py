"""Writes a tree as a tar stream: pax headers, times to the nanosecond, sparse files as GNU tar does (1.0).

Rule: nothing is kept of what was written; a file's bytes pass through a piece at a time.
Rule: names and values that are no UTF-8 go out as the bytes they are, as GNU tar has it.
"""

import os
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IMODE

from trivet.client.backup.tree_entry import Span, TreeEntry

PIECE_BYTES = 1 << 20
XATTR = b"SCHILY.xattr."
_BLOCK = tarfile.BLOCKSIZE
_TYPES = {
    S_IFREG: tarfile.REGTYPE, S_IFDIR: tarfile.DIRTYPE, S_IFLNK: tarfile.SYMTYPE,
    S_IFIFO: tarfile.FIFOTYPE, S_IFCHR: tarfile.CHRTYPE, S_IFBLK: tarfile.BLKTYPE,
}  # fmt: skip
_HOLES_WORTH_BYTES = 64 << 10
_DIGITS = {"uid": 8, "gid": 8, "size": 12, "mtime": 12}

Write = Callable[[bytes], Awaitable[None]]


class TarWriter:
    """Writes entries by `write` and counts them; `left_out` is what tar has no form for."""

    def __init__(self, write: Write) -> None:
        self.files = 0
        self.size_bytes = 0
        self.left_out: list[tuple[bytes, str]] = []
        self._write = write

    async def write_all(self, entries: AsyncIterator[TreeEntry]) -> None:
        """Write `entries` and the mark of the end."""
        async for entry in entries:
            kind = _TYPES.get(S_IFMT(entry.attributes.mode))
            if kind is None:
                self.left_out.append((entry.path, "tar has no sockets"))
            else:
                await self._write_one(entry, kind)
        await self._write(bytes(2 * _BLOCK))

    async def _write_one(self, entry: TreeEntry, kind: bytes) -> None:
        found = entry.attributes
        info = tarfile.TarInfo()
        info.type, info.mode = kind, S_IMODE(found.mode)
        pax = {
            b"path": entry.path or b".",
            b"mtime": time_text(found.mtime_ns),
            b"atime": time_text(found.atime_ns),
            b"ctime": time_text(found.ctime_ns),
        }
        pax |= {XATTR + name: value for name, value in entry.xattrs.items()}
        if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(found.rdev), os.minor(found.rdev)
        if entry.link is not None:
            info.type, pax[b"linkpath"] = tarfile.LNKTYPE, entry.link
        elif kind == tarfile.SYMTYPE:
            pax[b"linkpath"] = entry.target
        head = b""
        parts: list[tuple[int, int, bool]] = []
        size = 0
        if info.type == tarfile.REGTYPE:
            size, parts = found.size, _parts(entry.spans, found.size)
            if found.size - entry.held_bytes >= _HOLES_WORTH_BYTES:
                parts = [part for part in parts if part[2]]
                head = _sparse_map(entry.spans, size)
                pax |= _sparse_headers(pax[b"path"], size)
                size = len(head) + entry.held_bytes
        _put_numbers(info, pax, uid=found.uid, gid=found.gid, size=size, mtime=found.mtime_ns // 10**9)
        await self._write(_pax_header(pax) + info.tobuf(tarfile.USTAR_FORMAT) + head)
        await self._write_bytes(entry, parts)
        self.files += kind != tarfile.DIRTYPE

    async def _write_bytes(self, entry: TreeEntry, parts: list[tuple[int, int, bool]]) -> None:
        """Write the bytes of `parts`, zeros for holes, and fill the last block."""
        for start, end, is_held in parts:
            for at in range(start, end, PIECE_BYTES):
                size = min(PIECE_BYTES, end - at)
                piece = await entry.read(at, size) if is_held else bytes(size)
                assert len(piece) == size, "what is held can't become shorter"
                await self._write(piece)
        size = sum(end - start for start, end, _ in parts)
        self.size_bytes += size
        if size % _BLOCK:
            await self._write(bytes(_BLOCK - size % _BLOCK))


def _parts(held: Sequence[Span], size: int) -> list[tuple[int, int, bool]]:
    """Return the whole of `size` bytes cut into (start, end, whether that is held or a hole)."""
    parts = []
    at = 0
    for start, end in held:
        if at < start:
            parts.append((at, start, False))
        parts.append((start, end, True))
        at = end
    if at < size:
        parts.append((at, size, False))
    return parts


def _sparse_map(spans: Sequence[Span], size: int) -> bytes:
    """Return what stands before the bytes of a sparse file: where they belong."""
    listed = list(spans) if spans and spans[-1][1] == size else [*spans, (size, size)]
    numbers = [len(listed), *(number for start, end in listed for number in (start, end - start))]
    head = "".join(f"{number}\n" for number in numbers).encode()
    return head + bytes(-len(head) % _BLOCK)


def _sparse_headers(path: bytes, size: int) -> dict[bytes, bytes]:
    """Return the headers of a sparse file of `size` bytes, for programs that know them."""
    place, _, name = path.rpartition(b"/")
    return {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": path,
        b"GNU.sparse.realsize": str(size).encode(),
        b"path": (place or b".") + b"/GNUSparseFile.0/" + name,
    }


def _put_numbers(info: tarfile.TarInfo, pax: dict[bytes, bytes], **numbers: int) -> None:
    """Put numbers into the old header, and those that are too large for it into pax."""
    for name, number in numbers.items():
        fits = 0 <= number < 8 ** (_DIGITS[name] - 1)
        setattr(info, name, number if fits else 0)
        if not fits:
            pax.setdefault(name.encode(), str(number).encode())
    # Old programs get what ASCII can tell of the names.
    info.name = pax[b"path"].decode("ascii", "replace").encode("ascii", "replace").decode()[:100]
    info.linkname = (
        pax.get(b"linkpath", b"").decode("ascii", "replace").encode("ascii", "replace").decode()[:100]
    )


def _pax_header(pax: Mapping[bytes, bytes]) -> bytes:
    """Return the extended header that goes before a member's own; values are bytes, as GNU tar has them."""
    records = b"".join(_record(key + b"=" + value) for key, value in pax.items())
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % _BLOCK)


def _record(text: bytes) -> bytes:
    """Return a record: its own length, counted with it, and the text."""
    rest = len(text) + 2
    length = rest + len(str(rest))
    if len(str(length)) + rest != length:
        length += 1
    return b"%d %s\n" % (length, text)


def time_text(time_ns: int) -> bytes:
    """Return a time as pax has it: seconds with nine decimals."""
    sign, whole = ("-", -time_ns) if time_ns < 0 else ("", time_ns)
    return f"{sign}{whole // 10**9}.{whole % 10**9:09d}".encode()


def time_ns_of(told: str) -> int:
    """Return the time that pax has as `told`; ValueError for anything else."""
    sign = -1 if told.startswith("-") else 1
    whole, _, part = told.lstrip("-").partition(".")
    return sign * (int(whole) * 10**9 + int(part[:9].ljust(9, "0") or "0"))
