"""Change sets: what one operation of a user does to records and blobs, whole or not at all.

Rule: a change set goes into one journal entry; merging two keeps the last value of each key.
"""

from trivet.wire.blobs import BlobRef


class ChangeSet:
    """`records` maps key to value (None deletes), `freed` names blobs nothing names any more,
    `new_blobs` are those named for the first time.

    Deleting a key that is not stored is allowed: what was never stored needs no entry.
    """

    __slots__ = ("freed", "new_blobs", "records")

    def __init__(self) -> None:
        self.records: dict[bytes, bytes | None] = {}
        self.freed: list[int] = []
        self.new_blobs: list[BlobRef] = []

    def __bool__(self) -> bool:
        return bool(self.records or self.freed or self.new_blobs)

    def merge(self, later: "ChangeSet") -> None:
        """Take in what happened after this."""
        self.records.update(later.records)
        self.freed.extend(later.freed)
        self.new_blobs.extend(later.new_blobs)
