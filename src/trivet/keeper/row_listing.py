"""The keys and slots of several banks' rows, listed side by side in key order, a few thousand at a time.

Rule: what is held at once does not grow with the volume; between two portions others of the loop work.
"""

from collections.abc import AsyncIterator, Collection, Sequence

from trivet.keeper.bank_links import ServerLink
from trivet.keeper.log_transfer import ROWS_AT_ONCE, list_portions
from trivet.wire.bank_messages import ListRecords
from trivet.wire.records import bucket_of

#: Of so many buckets each is listed by itself: a server reads its whole table for every listing.
FEW_BUCKETS = 1


class _Reader:
    """One server's listing; `end` is the key through which its rows are held here, None: all of them."""

    def __init__(self, server: ServerLink, buckets: Collection[int]) -> None:
        self._buckets = frozenset(buckets)
        bucket = next(iter(self._buckets)) if len(self._buckets) <= FEW_BUCKETS else -1
        self._portions = list_portions(server, ListRecords(bucket, b"", ROWS_AT_ONCE, bodies=False))
        self.held: dict[bytes, int] = {}
        self.end: bytes | None = b""

    async def read_on(self) -> None:
        """Hold one portion more."""
        portion = await anext(self._portions, None)
        if portion is None or not portion.rows:
            self.end = None
            return
        self.end = portion.rows[-1].key if portion.more else None
        self.held |= {row.key: row.slot for row in portion.rows if bucket_of(row.key) in self._buckets}

    def take(self, through: bytes | None) -> dict[bytes, int]:
        """Hand over what is held, through a key."""
        if through is None or through == self.end:
            taken, self.held = self.held, {}
            return taken
        taken = {key: slot for key, slot in self.held.items() if key <= through}
        self.held = {key: slot for key, slot in self.held.items() if key > through}
        return taken


async def side_by_side(
    servers: Sequence[ServerLink], buckets: Collection[int]
) -> AsyncIterator[list[dict[bytes, int]]]:
    """Yield what each of `servers` lists of `buckets` as key -> slot, the same stretch of keys of all."""
    readers = [_Reader(server, buckets) for server in servers]
    through: bytes | None = b""
    while through is not None:
        for reader in readers:
            if reader.end == through:
                await reader.read_on()
        through = min((reader.end for reader in readers if reader.end is not None), default=None)
        yield [reader.take(through) for reader in readers]
