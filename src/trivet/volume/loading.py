"""Loading: building the namespace from the records of a volume, and saying what does not fit.

Rule: nothing is repaired here in silence: what does not fit is named, with its path where one is known.
Rule: inodes that were open but unlinked when the last keeper ended are purged.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from trivet.errors import CorruptReplica, FileSystemError
from trivet.volume import tombstones
from trivet.volume.attributes import MASKED_PAGES, Inode
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.volume.quotas import QUOTA
from trivet.wire.records import ASKED, ino_of, name_of, part_of

#: Directories that nothing names.
_TOPS = (ROOT_INO, PRIVATE_INO)
#: Names or inodes in a step.
STEP = 1000


@dataclass(slots=True)
class Loading:
    """A namespace being built: feed `add` all records, take its `steps`; `problems` are what does not fit."""

    names: BlobNames
    space: Namespace = field(init=False)
    _numbers: dict[int, int] = field(default_factory=dict)
    _masks: Counter[int] = field(default_factory=Counter)
    _orphans: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    _quotas: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.space = Namespace(self.names)

    def add(self, key: bytes, value: bytes | None) -> None:
        """Take in one record, in any order; the value of a `b/` record may be left out (None)."""
        kind = key[:2]
        if kind == b"c/":
            if value and key.startswith(tombstones.PREFIX):
                self.space.tombstones.add(value)
            elif value and key.startswith(ASKED):
                self.space.asked[key.removeprefix(ASKED)] = value
            return
        ino = self._number(ino_of(key))
        if kind == b"b/":
            page = part_of(key)
            if page < MASKED_PAGES:
                self._masks[ino] |= 1 << page
            else:
                self.space.layout.note_later_page(ino, page)
            return
        assert value is not None
        if kind == b"d/":
            number = self._number(int.from_bytes(value, "big"))
            self.space.directories.setdefault(ino, {})[name_of(key)] = number
        elif kind == b"i/":
            self.space.inodes.add_packed(ino, value)
        elif kind == b"e/":
            self.space.layout.set_extents(ino, part_of(key), value)
        elif kind == b"x/":
            self.space.xattrs.put(ino, name_of(key), value)
            if name_of(key) == QUOTA:
                self._quotas[ino] = value
        elif kind == b"o/":
            self._orphans.add(ino)
        else:
            raise CorruptReplica(f"a record of an unknown kind: {key[:16]!r}")

    def steps(self) -> Iterator[None]:
        """Complete the namespace and purge what nobody can open, in steps of some milliseconds."""
        space = self.space
        links: Counter[int] = Counter()
        turns = count(1)
        for ino, names in list(space.directories.items()):
            holder = space.inodes.get(ino)
            if holder is None or not holder.is_directory:
                self.problems.append(f"names in {ino}, which is no directory: {sorted(names)[:3]}")
                del space.directories[ino]
                continue
            yield from self._join(ino, names, links, turns)
            space.inodes.cool()
        for top in _TOPS:
            if top in space.inodes:
                space.parents[top] = top
        for ino in list(space.inodes):
            inode = space.inode(ino)
            self._judge(inode, links[ino])
            space.inodes.cool()
            if next(turns) % STEP == 0:
                yield
        for ino, value in self._quotas.items():
            try:
                space.quotas.set(ino, value if ino in space.directories else None)
            except FileSystemError:
                self.problems.append(f"the quota of directory {ino} can't be read: {value!r}")
        for ino in sorted(self._orphans):
            orphan = space.inodes.get(ino)
            if orphan is not None and not links[ino]:
                space.directories.pop(ino, None)
                space.purge(orphan, was_open=True)
        self._numbers.clear()

    def _number(self, ino: int) -> int:
        return self._numbers.setdefault(ino, ino)

    def _join(
        self, ino: int, names: dict[bytes, int], links: Counter[int], turns: Iterator[int]
    ) -> Iterator[None]:
        space = self.space
        for name, number in list(names.items()):
            if next(turns) % STEP == 0:
                yield
            inode = space.inodes.get(number)
            if inode is None:
                self.problems.append(f"{name!r} in directory {ino} names inode {number}, which is not there")
                del names[name]
                continue
            links[number] += 1
            space.holders.add(number, ino)
            if inode.is_directory:
                space.parents[number] = ino
                links[number] += 1
                links[ino] += 1

    def _judge(self, inode: Inode, links: int) -> None:
        space = self.space
        ino = inode.ino
        if inode.is_directory:
            space.directories.setdefault(ino, {})
            if ino in _TOPS:
                links += 2
        if not links and ino not in self._orphans:
            self.problems.append(f"inode {ino} has no name")
        elif links != inode.nlink and ino not in self._orphans:
            self.problems.append(f"inode {ino} tells {inode.nlink} links and has {links}")
        mask = self._masks.get(ino, 0)
        later = space.layout.later_page_count(ino)
        if mask != inode.page_mask or later != inode.later_pages:
            self.problems.append(f"inode {ino} tells other page records than there are")
            inode.page_mask = mask
            inode.later_pages = later
