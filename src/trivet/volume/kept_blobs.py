"""Kept blobs: what snapshots name, which is not deleted though the files of today may not name it any more.

Rule: while anybody `holds`, nothing at all may be deleted: it is not known yet what will be kept.
Rule: names are counted by nobody: a snapshot that goes releases what no other one has.
"""

from array import array
from collections.abc import Iterable, Sequence

from trivet.wire.blobs import BlobRef


class KeptBlobs:
    """The blobs of all snapshots."""

    __slots__ = ("_by_snapshot", "_holders", "refs")

    def __init__(self) -> None:
        self.refs: dict[int, BlobRef] = {}
        self._by_snapshot: dict[bytes, array[int]] = {}
        self._holders = 0

    def __contains__(self, name: int) -> bool:
        return name in self.refs

    @property
    def is_held(self) -> bool:
        """Whether nothing may be deleted now."""
        return self._holders > 0

    def hold(self) -> None:
        """Let nothing be deleted until `let_go`; holders are counted."""
        self._holders += 1

    def let_go(self) -> None:
        """End one `hold`."""
        assert self._holders, "nobody holds"
        self._holders -= 1

    def keep(self, snapshot: bytes, refs: Iterable[BlobRef]) -> None:
        """Keep `refs` for `snapshot`."""
        names = array("Q")
        for ref in refs:
            names.append(ref.name)
            self.refs.setdefault(ref.name, ref)
        self._by_snapshot[snapshot] = names

    def release(self, snapshot: bytes) -> Sequence[int]:
        """Forget `snapshot`; return the names that no other snapshot keeps."""
        names = set(self._by_snapshot.pop(snapshot, ()))
        for others in self._by_snapshot.values():
            names.difference_update(others)
        # A new one: who looks through them just now goes on with those there were.
        self.refs = {name: ref for name, ref in self.refs.items() if name not in names}
        return sorted(names)
