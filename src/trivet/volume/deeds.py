"""What people did, read back out of the records of a journal entry: created, written, renamed, removed.

Rule: an entry says what stands where afterwards, not why; where several moves share one entry, which name
became which is not guessed: the old ones are "removed", the new ones "named".
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trivet.volume.attributes import Inode, unpack_inode
from trivet.wire.entries import RecordOp
from trivet.wire.records import ino_of, inode_key
from trivet.wire.recover_messages import OperationWhat


class Deed(NamedTuple):
    """What was done to what `key` stands for: a `d/` key is a name, an `i/` key a file; `to` is a new name.

    `at_ns` is when, None if the entry does not say.
    """

    what: OperationWhat
    key: bytes
    to: bytes
    at_ns: int | None


class EntryDeeds:
    """The `deeds` of one entry with the records `ops`; `names` are the `d/` keys of inodes it tells of."""

    def __init__(self, ops: Iterable[RecordOp]) -> None:
        self.names: dict[int, bytes] = {}
        self.at_ns: int | None = None
        self._named: list[tuple[int, bytes]] = []
        self._taken: list[bytes] = []
        self._inodes: dict[int, Inode] = {}
        self._made: set[int] = set()
        self._gone: list[int] = []
        self._bodies: dict[int, None] = {}
        for op in ops:
            self._take(op)
        self.at_ns = max((inode.ctime_ns for inode in self._inodes.values()), default=None)
        self.deeds = [*self._of_names(), *self._of_files()]

    def _take(self, op: RecordOp) -> None:
        match op.key[:2]:
            case b"d/" if op.value is None:
                self._taken.append(op.key)
            case b"d/" if op.value is not None:
                self._named.append((int.from_bytes(op.value, "big"), op.key))
            case b"i/" if op.value is None:
                self._gone.append(ino_of(op.key))
            case b"i/" if op.value is not None:
                ino = ino_of(op.key)
                self._inodes[ino] = unpack_inode(ino, op.value)
                if not op.old_slot:
                    self._made.add(ino)
            case b"o/" if op.value is not None:
                self._gone.append(ino_of(op.key))
            case b"b/" | b"e/":
                self._bodies[ino_of(op.key)] = None

    def _of_names(self) -> Iterator[Deed]:
        moved = [(ino, key) for ino, key in self._named if ino not in self._made]
        taken = self._taken
        if len(taken) == 1 and not moved and len(set(self._gone)) == 1:
            self.names[self._gone[0]] = taken[0]
        for ino, key in self._named:
            self.names[ino] = key
            if ino in self._made:
                yield Deed("created", key, b"", self.at_ns)
        if len(taken) == len(moved) == 1:
            yield Deed("renamed", taken[0], moved[0][1], self.at_ns)
            return
        for key in taken:
            yield Deed("removed", key, b"", self.at_ns)
        for _, key in moved:
            yield Deed("named", key, b"", self.at_ns)

    def _of_files(self) -> Iterator[Deed]:
        holders = {ino_of(key) for key in self._taken} | {ino_of(key) for _, key in self._named}
        told = self._made | set(self._gone) | {ino for ino, _ in self._named}
        for ino in self._bodies:
            if ino in self._inodes and ino not in told:
                yield Deed("written", inode_key(ino), b"", self.at_ns)
        for ino, inode in self._inodes.items():
            was_only_read = inode.atime_ns > inode.ctime_ns
            if ino not in told and ino not in holders and ino not in self._bodies and not was_only_read:
                yield Deed("changed", inode_key(ino), b"", self.at_ns)
