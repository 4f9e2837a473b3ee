"""What is wrong with a copy, said so that people understand it: which path, which bytes, where, why.

Rule: a record or blob that nothing names any more has no path; it is told by its number.
Rule: any bytes may stand where a key should: what has no key's form is told as such.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import inf

from blake3 import blake3

from trivet.io.clock import wall_s
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.blob_owners import Owner
from trivet.volume.extents import blobs_of, unpack_extents
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.wire.blobs import BlobRef
from trivet.wire.control_messages import Finding, Verdict
from trivet.wire.path_text import path_text
from trivet.wire.records import ino_of, is_key, name_of, part_of

_ITEMS = {
    b"i/": "attributes",
    b"d/": "name",
    b"b/": "page",
    b"e/": "extent",
    b"x/": "xattr",
    b"o/": "open file",
}


class PathFinder:
    """Finds the path of an inode; made anew for each check, because names come and go.

    With `most_names` it looks through no more names than that: what lies in larger directories has none.
    """

    def __init__(self, space: Namespace, most_names: float = inf) -> None:
        self._space = space
        self._names: dict[int, dict[int, bytes]] = {}
        self._names_left = most_names

    def _name_of(self, ino: int) -> tuple[int, bytes] | None:
        """Return (parent, name); the names of a directory are turned round once it is asked for one."""
        for parent in self._space.holders.of(ino):
            names = self._names.get(parent)
            if names is None:
                directory = self._space.directories[parent]
                if len(directory) > self._names_left:
                    continue
                self._names_left -= len(directory)
                names = self._names[parent] = {number: name for name, number in directory.items()}
            if ino in names:
                return parent, names[ino]
        return None

    def path_of(self, ino: int) -> str:
        """Return the path of `ino` below the mount, or its number where no name leads to it."""
        parts: list[bytes] = []
        at = ino
        while at not in (ROOT_INO, PRIVATE_INO):
            found = self._name_of(at)
            if found is None:
                return f"(inode {ino})"
            at, name = found
            parts.append(name)
        top = b"/" if at == ROOT_INO else b"(private)/"
        return path_text(top + b"/".join(reversed(parts)))

    def path_of_key(self, key: bytes) -> str:
        """Return the path of what the record `key` belongs to."""
        if not is_key(key):
            return "(no record)"
        if key[:2] == b"c/":
            return "(configuration)"
        path = self.path_of(ino_of(key))
        if key[:2] == b"d/":
            return f"{path.rstrip('/')}/{path_text(name_of(key))}"
        return path


def trace_of(data: bytes | None) -> str:
    """Return what tells `data` from other bytes: size and beginning of its BLAKE3; None is nothing."""
    return "nothing" if data is None else f"{len(data)} bytes, {blake3(data).hexdigest(8)}"


def row_finding(
    verdict: Verdict, key: bytes, port: int, why: str, paths: PathFinder, source: int | None
) -> Finding:
    """Return the finding on one record of the server at `port`."""
    ranges: list[tuple[int, int]] = []
    if not is_key(key):  # a key that damage made; its row goes
        return Finding(verdict, paths.path_of_key(key), "record", port, why, wall_s(), source)
    if key[:2] == b"b/":
        ranges = [(part_of(key) * PAGE_BYTES, (part_of(key) + 1) * PAGE_BYTES)]
    elif key[:2] == b"e/":
        ranges = [(part_of(key) * MIB_BYTES, (part_of(key) + 1) * MIB_BYTES)]
    item = _ITEMS.get(key[:2], "configuration")
    return Finding(verdict, paths.path_of_key(key), item, port, why, wall_s(), source, ranges)


def log_finding(port: int) -> Finding:
    """Return the finding on the journal of the server at `port`, which was damaged and is whole again."""
    return Finding("fixed", "(journal)", "log", port, "not what was written", wall_s())


class _AllRefs(Mapping[int, BlobRef]):
    """Name -> blob of all that extents or snapshots name, or did when this was made; looked up each time."""

    def __init__(self, space: Namespace) -> None:
        self._layout = space.layout
        self._kept = space.kept.refs
        self._freed = space.layout.owners.watch()

    def owner(self, name: int) -> Owner | None:
        """Return what names a blob, or did."""
        place = self._layout.owners.place(name)
        if place is None:
            return self._freed.owners.get(name)
        value = self._layout.extents(*place)
        assert value is not None
        return Owner(*place, value)

    def __getitem__(self, name: int) -> BlobRef:
        owner = self.owner(name)
        if owner is None:
            return self._kept[name]
        return next(ref for ref in blobs_of(owner.value) if ref.name == name)

    def __contains__(self, name: object) -> bool:
        return name in self._layout.owners or name in self._freed.owners or name in self._kept

    def __iter__(self) -> Iterator[int]:
        return iter([*self._layout.owners, *self._freed.owners, *self._only_kept()])

    def __len__(self) -> int:
        return len(self._layout.owners) + len(self._freed.owners) + len(self._only_kept())

    def _only_kept(self) -> list[int]:
        """Return what nothing but snapshots names."""
        owners, freed = self._layout.owners, self._freed.owners
        return [name for name in self._kept if name not in owners and name not in freed]


class NamedBlobs:
    """The blobs that the volume's extents name, all or `at_most` so many of `inos`, and whose they are.

    What is set free later stays among them: only the journal deletes that.
    """

    def __init__(
        self, space: Namespace, inos: Iterable[int] | None = None, at_most: int | None = None
    ) -> None:
        self._space = space
        self._all = _AllRefs(space)
        self.refs: Mapping[int, BlobRef] = self._all
        if inos is not None:
            layout = space.layout
            values = (value for ino in inos for _mib, value in layout.all_extents(ino))
            found = ((ref.name, ref) for value in values for ref in blobs_of(value))
            self.refs = dict(islice(found, at_most))

    def __contains__(self, name: int) -> bool:
        return name in self.refs

    def is_pinned(self, name: int) -> bool:
        """Tell whether the blob stays though no file has it: for a reader, or for a snapshot."""
        space = self._space
        return name in space.pins or name in space.kept or space.kept.is_held

    def is_still_named(self, name: int) -> bool:
        """Tell whether the extents or a snapshot name the blob at this very moment."""
        return name in self._space.layout.owners or name in self._space.kept

    def finding(
        self, verdict: Verdict, name: int, port: int, why: str, paths: PathFinder, source: int | None
    ) -> Finding:
        """Return the finding on one blob of the server at `port`."""
        owner = self._all.owner(name)
        if owner is None:
            return Finding(verdict, "(snapshots)", "blob", port, why, wall_s(), source)
        ino, mib, value = owner
        first = mib * PAGES_PER_MIB
        ranges = [
            ((first + piece.page) * PAGE_BYTES, (first + piece.page + piece.pages) * PAGE_BYTES)
            for piece in unpack_extents(value)
            if piece.blob.name == name
        ]
        return Finding(verdict, paths.path_of(ino), "blob", port, why, wall_s(), source, ranges)
