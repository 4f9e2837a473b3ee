"""What is wrong with a copy, said so that people understand it: which path, which bytes, where, why.

Rule: a record or blob that nothing names any more has no path; it is told by its number.
Rule: any bytes may stand where a key should: what has no key's form is told as such.
"""

from collections.abc import Sequence

from blake3 import blake3

from trivet.io.clock import wall_s
from trivet.volume.attributes import MIB_BYTES, PAGE_BYTES, PAGES_PER_MIB
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
    """Finds the path of an inode; made anew for each check, because names come and go."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._names: dict[int, tuple[int, bytes]] = {}

    def path_of(self, ino: int) -> str:
        """Return the path of `ino` below the mount, or its number where no name leads to it."""
        if not self._names:
            for parent, names in self._space.directories.items():
                for name, number in names.items():
                    self._names.setdefault(number, (parent, name))
        parts: list[bytes] = []
        at = ino
        while at not in (ROOT_INO, PRIVATE_INO):
            if at not in self._names:
                return f"(inode {ino})"
            at, name = self._names[at]
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


class NamedBlobs:
    """The blobs that the volume's extents name at this moment, and whose they are; those of snapshots, too,
    unless only some `inos` are asked for.
    """

    def __init__(self, space: Namespace, inos: Sequence[int] | None = None) -> None:
        self.refs: dict[int, BlobRef] = {}
        self._space = space
        self._owner: dict[int, tuple[int, int, bytes]] = {}
        for ino in space.inodes if inos is None else inos:
            for mib, value in space.layout.all_extents(ino):
                for ref in blobs_of(value):
                    self.refs[ref.name] = ref
                    self._owner[ref.name] = (ino, mib, value)
        if inos is None:
            self.refs = {**space.kept.refs, **self.refs}

    def __contains__(self, name: int) -> bool:
        return name in self.refs

    def is_pinned(self, name: int) -> bool:
        """Tell whether the blob stays though no file has it: for a reader, or for a snapshot."""
        space = self._space
        return name in space.pins or name in space.kept or space.kept.is_held

    def is_still_named(self, name: int) -> bool:
        """Tell whether extents or a snapshot name the blob at this very moment."""
        if name in self._space.kept:
            return True
        if name not in self._owner:
            return False
        ino, mib, _ = self._owner[name]
        value = self._space.layout.extents(ino, mib)
        return value is not None and any(ref.name == name for ref in blobs_of(value))

    def finding(
        self, verdict: Verdict, name: int, port: int, why: str, paths: PathFinder, source: int | None
    ) -> Finding:
        """Return the finding on one blob of the server at `port`."""
        if name not in self._owner:
            return Finding(verdict, "(snapshots)", "blob", port, why, wall_s(), source)
        ino, mib, value = self._owner[name]
        first = mib * PAGES_PER_MIB
        ranges = [
            ((first + piece.page) * PAGE_BYTES, (first + piece.page + piece.pages) * PAGE_BYTES)
            for piece in unpack_extents(value)
            if piece.blob.name == name
        ]
        return Finding(verdict, paths.path_of(ino), "blob", port, why, wall_s(), source, ranges)
