"""What `trivet snapshot` asks of a keeper and is answered."""

import msgspec


class SnapshotTold(msgspec.Struct, frozen=True):
    """A snapshot: the state at journal slot `slot`, noted at `made_s` (Unix time).

    `files` are inodes, folders counted; `size_bytes` is what its files hold, `table_bytes` what it costs by
    itself; what changes later costs as much as is kept of the old.
    """

    name: str
    slot: int
    made_s: float
    files: int
    size_bytes: int
    table_bytes: int


class SnapshotTable(msgspec.Struct, frozen=True):
    """Every snapshot, the oldest first."""

    snapshots: list[SnapshotTold]


class SnapshotRemoved(msgspec.Struct, frozen=True):
    """What the removal of a snapshot sets free: blobs that nothing names any more."""

    blobs_freed: int
