"""Reads a tar stream, plain or compressed, as a tree; any tar program's, not only ours.

Rule: a stream that is cut off, damaged or no tar at all is an InputError that says where, never a short tree.
Rule: a header that asks for more memory than a file's names and attributes can take is refused.
"""

import os
import tarfile
import zlib
from asyncio import to_thread
from collections.abc import AsyncIterator
from lzma import LZMAError
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from typing import IO, Any, Self

from trivet.client.backup.tar_writing import XATTR, time_ns_of
from trivet.client.backup.tree_entry import Span, TreeEntry
from trivet.errors import InputError
from trivet.volume.interface import Attributes

HEADER_MAX_BYTES = 16 << 20
_EMPTY_READS_MAX = 64
_MODES = {
    tarfile.DIRTYPE: S_IFDIR, tarfile.SYMTYPE: S_IFLNK, tarfile.FIFOTYPE: S_IFIFO,
    tarfile.CHRTYPE: S_IFCHR, tarfile.BLKTYPE: S_IFBLK,
}  # fmt: skip
_HEADERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
_BROKEN = (tarfile.TarError, ValueError, EOFError, OSError, zlib.error, LZMAError)


class _Member(tarfile.TarInfo):
    """A member whose header is right, or there is an error: tarfile itself takes some damage for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > HEADER_MAX_BYTES:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


class _Stream:
    """A stream that is not read on for ever behind its end."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._empty = 0

    def read(self, size: int) -> bytes:
        data = self._raw.read(size)
        self._empty = 0 if data else self._empty + 1
        if self._empty > _EMPTY_READS_MAX:
            raise tarfile.ReadError("unexpected end of data")
        return data


class TarReader:
    """The members of the tar that `raw` holds, called `name` in what is said of it."""

    def __init__(self, raw: IO[bytes], name: str) -> None:
        self._raw = _Stream(raw)
        self._name = name
        self._members = 0
        self._last = "its start"

    async def entries(self) -> AsyncIterator[TreeEntry]:
        """Yield every member in order; raises InputError where the stream breaks."""
        tar = await self._in_thread(self._open)
        while (member := await self._in_thread(tar.next)) is not None:
            tar.members = []
            entry = self._entry(tar, member)
            self._members += 1
            self._last = member.name
            yield entry

    def _open(self) -> tarfile.TarFile:
        raw: Any = self._raw
        return tarfile.open(
            mode="r|*", fileobj=raw, tarinfo=_Member, encoding="utf-8", errors="surrogateescape"
        )

    async def _in_thread(self, call: Any, *arguments: Any) -> Any:
        try:
            return await to_thread(call, *arguments)
        except _BROKEN as error:
            raise self._broken(str(error)) from error

    def _broken(self, why: str) -> InputError:
        return InputError(
            f"{self._name} is cut off or damaged behind {self._last!r} ({self._members:,} members): {why}"
        )

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> TreeEntry:
        path = self._path(member.name)
        try:
            found = _attributes(member)
        except ValueError as error:
            raise self._broken(f"{member.name!r}: {error}") from error
        xattrs = {
            _bytes(key).removeprefix(XATTR): _bytes(value)
            for key, value in member.pax_headers.items()
            if _bytes(key).startswith(XATTR)
        }
        if member.islnk():
            return TreeEntry(path, found, link=self._path(member.linkname))
        if member.issym():
            return TreeEntry(path, found, _bytes(member.linkname), xattrs=xattrs)
        if not member.isreg():
            if member.type not in _MODES:
                raise InputError(f"{self._name}: {member.name!r} is of a kind that no drive has")
            return TreeEntry(path, found, xattrs=xattrs)
        sparse = getattr(member, "sparse", None)
        spans: list[Span] = [(0, member.size)] if member.size else []
        if sparse is not None:
            spans = [(start, start + size) for start, size in sparse if size]
            ends = [0, *(end for _, end in spans)]
            if (
                any(start < end for (start, _), end in zip(spans, ends, strict=False))
                or ends[-1] > member.size
            ):
                raise self._broken(f"the map of {member.name!r} makes no sense")
        stream: Any = tar.fileobj
        place = member.offset_data

        async def read(offset: int, size: int) -> bytes:
            nonlocal place
            data: bytes = await self._in_thread(_read_at, stream, place, size)
            if len(data) < size:
                raise self._broken(f"{member.name!r} is not there whole")
            place += size
            return data

        return TreeEntry(path, found, xattrs=xattrs, spans=spans, read=read)

    def _path(self, name: str) -> bytes:
        parts = [part for part in _bytes(name).split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise InputError(f"{self._name}: {name!r} leads out of the archive; make one without `..`")
        return b"/".join(parts)


def _read_at(stream: Any, place: int, size: int) -> bytes:
    if stream.tell() != place:
        stream.seek(place)
    data: bytes = stream.read(size)
    return data


def _attributes(member: tarfile.TarInfo) -> Attributes:
    headers = member.pax_headers
    mtime_ns = time_ns_of(headers["mtime"]) if "mtime" in headers else int(member.mtime) * 10**9
    atime_ns = time_ns_of(headers["atime"]) if "atime" in headers else mtime_ns
    is_device = member.ischr() or member.isblk()
    mode = _MODES.get(member.type, S_IFREG) | member.mode & 0o7777
    rdev = os.makedev(member.devmajor, member.devminor) if is_device else 0
    return Attributes(0, mode, 1, member.uid, member.gid, rdev, member.size, atime_ns, mtime_ns, mtime_ns)


def _bytes(told: str) -> bytes:
    return told.encode("utf-8", "surrogateescape")
