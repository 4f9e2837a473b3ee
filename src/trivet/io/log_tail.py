"""Following log files as they grow: rename rotation, truncation, files that appear later, globs.

Rule: a file is its inode, not its name; a renamed file is drained to its end, so rotation loses no line.
Rule: a truncated file is read again from its start and reported: what was written between the copy and
the truncation can't be known.
Rule: files are looked at, not watched: network file systems and containers send no events.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from glob import glob, has_magic
from typing import NamedTuple

from trivet.errors import InputError
from trivet.io.log_files import BOM, STDIN

#: what is read of one file before the next one has its turn
READ_BYTES = 1 << 20
#: a partial line longer than this is given out as it is
_MOST_CARRY = 4 << 20
_HEAD_BYTES = 256
_LOOK_BACK_BYTES = 1 << 16
#: a renamed file that is still written is kept open this long after its last line
_DRAIN_S = 60.0
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class Chunk(NamedTuple):
    """Whole lines of one file."""

    path: str
    data: bytes


@dataclass(slots=True)
class _Followed:
    """One open file: where reading goes on, and the last line's beginning if it is not whole."""

    path: str
    descriptor: int
    identity: tuple[int, int]
    offset: int = 0
    carry: bytes = b""
    head: bytes = b""
    quiet_since_s: float = 0.0
    renamed: bool = False


@dataclass(slots=True)
class LogTail:
    """Follows `patterns` (paths and globs); `from_start` reads what the first files already hold.

    Without it, `backfill_bytes` of what they hold are read first: their last whole lines.

    Raises InputError for a path that is there and is no file, since waiting for it would never end.

    `notes` collects what a user must know (truncations, files that appear); the owner empties it.
    """

    patterns: Sequence[str]
    from_start: bool = False
    backfill_bytes: int = 0
    notes: list[str] = field(default_factory=list)
    truncations: int = 0
    _files: dict[tuple[int, int], _Followed] = field(default_factory=dict)
    _unreadable: set[str] = field(default_factory=set)
    _first: bool = True

    def __post_init__(self) -> None:
        for pattern in self.patterns:
            if os.path.isdir(pattern):
                raise InputError(
                    f"{pattern} is a directory; name its log files, for example '{pattern.rstrip('/')}/*.log'"
                )
            if os.path.exists(pattern) and not os.path.isfile(pattern):
                raise InputError(f"{pattern} is no regular file and can't be followed; leave --follow out")

    def look(self, now_s: float) -> None:
        """Find new files and renamed ones; `now_s` is a steady clock."""
        seen = {}
        for path in self._paths():
            try:
                status = os.stat(path)
            except PermissionError as error:
                self._refuse(path, error)
                continue
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                seen[status.st_dev, status.st_ino] = path
        for identity, path in seen.items():
            known = self._files.get(identity)
            if known is None:
                self._open(path, now_s)
            else:
                known.path, known.renamed = path, False
        for identity, file in list(self._files.items()):
            if identity not in seen:
                file.renamed = True
                if now_s - file.quiet_since_s > _DRAIN_S or os.fstat(file.descriptor).st_nlink == 0:
                    self._close_drained(file)
        if self._first and not self._files:
            self.notes.append(f"waiting for {', '.join(self.patterns)}")
        self._first = False

    def _paths(self) -> list[str]:
        return [
            path
            for pattern in self.patterns
            for path in (sorted(glob(pattern, recursive=True)) if has_magic(pattern) else [pattern])
            if path != STDIN
        ]

    def _open(self, path: str, now_s: float) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._refuse(path, error)
            return
        status = os.fstat(descriptor)
        file = _Followed(path, descriptor, (status.st_dev, status.st_ino), quiet_since_s=now_s)
        file.head = os.pread(descriptor, _HEAD_BYTES, 0)
        if file.head.startswith(_PACKED):
            file.offset = status.st_size
        elif self._first and not self.from_start:
            file.offset = _line_start(descriptor, max(0, status.st_size - self.backfill_bytes))
        elif not self._first:
            self.notes.append(f"{path} appeared")
        if not file.offset and file.head.startswith(BOM):
            file.offset = len(BOM)
        self._files[file.identity] = file

    def _refuse(self, path: str, error: OSError) -> None:
        """Tell once that `path` can't be read; it is tried again with every look."""
        if path not in self._unreadable:
            self._unreadable.add(path)
            self.notes.append(f"cannot read {path}: {error.strerror}")

    def _close_drained(self, file: _Followed) -> None:
        if os.fstat(file.descriptor).st_size > file.offset:
            return
        os.close(file.descriptor)
        del self._files[file.identity]

    def read(self, now_s: float) -> list[Chunk]:
        """Return what every file has new, at most READ_BYTES of each; whole lines only."""
        chunks = []
        for file in list(self._files.values()):
            data = self._read_one(file)
            if data:
                file.quiet_since_s = now_s
                chunks += self._whole_lines(file, data)
        return chunks

    def _read_one(self, file: _Followed) -> bytes:
        size = os.fstat(file.descriptor).st_size
        if size < file.offset or self._was_rewritten(file, size):
            self.truncations += 1
            self.notes.append(
                f"{file.path} was truncated; lines written just before may be lost (copytruncate)"
            )
            file.offset, file.carry, file.head = 0, b"", b""
        if size == file.offset:
            return b""
        data = os.pread(file.descriptor, READ_BYTES, file.offset)
        file.offset += len(data)
        if len(file.head) < _HEAD_BYTES:
            file.head = os.pread(file.descriptor, _HEAD_BYTES, 0)
        return data

    def _was_rewritten(self, file: _Followed, size: int) -> bool:
        """Return whether the file's beginning is another one: truncated, and grown past us since."""
        if size == file.offset or not file.head:
            return False
        return os.pread(file.descriptor, len(file.head), 0) != file.head

    @staticmethod
    def _whole_lines(file: _Followed, data: bytes) -> list[Chunk]:
        end = data.rfind(b"\n") + 1
        if not end:
            file.carry += data
            if len(file.carry) <= _MOST_CARRY:
                return []
            # no log has such lines: cut it to what no format takes for a record
            file.carry = file.carry[:40]
            return []
        whole, file.carry = file.carry + data[:end], data[end:]
        return [Chunk(file.path, whole)]

    def waiting_bytes(self) -> int:
        """Return how many bytes are written and not yet read."""
        sizes = (os.fstat(file.descriptor).st_size - file.offset for file in self._files.values())
        return sum(max(0, size) for size in sizes)

    def rest(self) -> list[Chunk]:
        """Return the last lines that lack their newline; for the end of following."""
        return [Chunk(file.path, file.carry) for file in self._files.values() if file.carry]

    @property
    def paths(self) -> list[str]:
        """The files being followed."""
        return [file.path for file in self._files.values()]

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            os.close(file.descriptor)
        self._files.clear()


def _line_start(descriptor: int, offset: int) -> int:
    """Return where the line begins that `offset` is in: it may be written right now, and is read whole."""
    tail = os.pread(descriptor, min(offset, _LOOK_BACK_BYTES), max(0, offset - _LOOK_BACK_BYTES))
    return offset - len(tail) + tail.rfind(b"\n") + 1 if b"\n" in tail else offset
