"""Names of blobs and numbers of inodes, never used twice.

Rule: epoch number `n` hands out `n * 2^32 + seq`, so nothing needs to be stored to never repeat, and later
names are larger.
"""

_SEQUENCE_BITS = 32
_NAME_BITS = 53


class BlobNames:
    """The one range of names and inode numbers of an epoch."""

    __slots__ = ("_end", "_next")

    def __init__(self, epoch_number: int) -> None:
        assert 0 < epoch_number < 1 << (_NAME_BITS - _SEQUENCE_BITS), "epoch numbers ran out"
        self._next = epoch_number << _SEQUENCE_BITS
        self._end = (epoch_number + 1) << _SEQUENCE_BITS

    def take(self) -> int:
        """Return a name nobody had before."""
        name = self._next
        assert name < self._end, "the epoch's names ran out: start the keeper anew"
        self._next = name + 1
        return name


def epoch_of(name: int) -> int:
    """Return the number of the epoch that handed out `name`."""
    return name >> _SEQUENCE_BITS
