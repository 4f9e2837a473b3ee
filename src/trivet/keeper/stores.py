"""What the volume in the keeper stands on: committing changes, blobs, records, and asking for a compare.

Rule: every wait behind these ports has a deadline of its own and ends in NoMajority or NoSpace.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from trivet.volume.changes import ChangeSet
from trivet.wire.blobs import BlobRef

Durability = Literal["default", "always"]


class Ticket(Protocol):
    """The place in history of a change set; later tickets stand at the same or a later place.

    A wait that failed may be tried again: the entry stays in the log and is acked when banks are back.
    """

    @property
    def slot(self) -> int | None:
        """The journal slot, None until the entry is sealed."""

    async def acked(self) -> None:
        """Return when two banks have handed it to their system; raise NoMajority in less than 2 s."""

    async def durable(self) -> None:
        """Return when two banks have synced it and everything before it; raise NoMajority."""


class CommitPort(Protocol):
    """Orders changes; deleting a key that is not stored is dropped when the entry is sealed."""

    @property
    def durability(self) -> Durability:
        """What operations wait for."""

    @property
    def takes_changes(self) -> bool:
        """Whether two banks take changes now."""

    async def writable(self) -> None:
        """Wait until banks take changes; raise NoMajority when they do not in time."""

    def submit(self, changes: ChangeSet, *, sync: bool = False) -> Ticket:
        """Put `changes` whole into the next entry, in the order of calls; never blocks."""

    @property
    def head_slot(self) -> int:
        """The last slot there is."""

    @property
    def durable_slot(self) -> int:
        """The last slot that two banks have synced."""

    def slot_of(self, key: bytes) -> int:
        """Return the slot of the last sealed change of `key`, 0 if it does not exist there."""

    def is_fresh(self, key: bytes) -> bool:
        """Tell whether a change of `key` was handed in and is not acknowledged yet."""


class BlobPort(Protocol):
    """Immutable bytes in three banks."""

    def new_name(self) -> int:
        """Return a name nobody had before."""

    async def put(self, name: int, data: bytes | memoryview) -> BlobRef:
        """Store `data`; return when two banks have handed it to their operating system."""

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """Return verified bytes; a bad copy is mended on the way."""


class RecordPort(Protocol):
    """Values of records."""

    async def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the verified values of `keys` as last submitted; a key that is not stored is left out."""


class AccessPort(Protocol):
    """Where what people look at is named, so that its copies are compared within a second."""

    def accessed(self, ino: int) -> None:
        """Note that a file was opened or a directory listed; never blocks."""


class SpacePort(Protocol):
    """How much room the banks have."""

    def space(self) -> tuple[int, int]:
        """Return (total bytes, free bytes) for one copy."""
