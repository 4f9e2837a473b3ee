"""How often each layer of an upstream's cache had what was asked for; kept over restarts.

Rule: memory is what the workers of the door keep, volume what is in the banks, metadata what names, sizes and
checksums are told from; a miss of the last is a call at the vendor.
"""

import msgspec

from trivet.drive.upstream.vendor_quota import Call
from trivet.io.cache_report import Served
from trivet.io.upstream_store import UpstreamStore

_SETTING = "cache counts"
_ASKING: tuple[Call, ...] = ("get", "list")


class Hits(msgspec.Struct):
    """Of one layer; `size_bytes` were served from it."""

    hits: int = 0
    misses: int = 0
    size_bytes: int = 0


class Counts(msgspec.Struct):
    """Of one upstream since `since_s`; `negative` hits told that there is no such name.

    `polled_s` is when the vendor told its changes last.
    """

    since_s: float
    memory: Hits = msgspec.field(default_factory=Hits)
    volume: Hits = msgspec.field(default_factory=Hits)
    metadata: Hits = msgspec.field(default_factory=Hits)
    negative: int = 0
    evicted: int = 0
    evicted_bytes: int = 0
    polled_s: float | None = None


class CacheCounts:
    """The counts in `store`; `begin` it, `save` it now and then."""

    def __init__(self, store: UpstreamStore, now_s: float) -> None:
        self._store = store
        self._saved = b""
        self._calls = 0
        self.counts = Counts(now_s)

    async def begin(self) -> None:
        """Go on from what was kept."""
        kept = await self._store.setting(_SETTING)
        if kept is not None:
            self.counts = msgspec.json.decode(kept, type=Counts)

    async def save(self) -> None:
        """Keep what was counted."""
        told = msgspec.json.encode(self.counts)
        if told != self._saved:
            await self._store.keep(_SETTING, told.decode())
            self._saved = told

    def served(self, one: Served) -> None:
        """Add what a worker has served."""
        counts = self.counts
        counts.memory.hits += one.memory_hits
        counts.memory.misses += one.memory_misses
        counts.memory.size_bytes += one.memory_bytes
        counts.volume.size_bytes += one.volume_bytes
        counts.volume.misses += one.refused
        counts.metadata.hits += one.described + one.not_there
        counts.negative += one.not_there

    def called(self, made: dict[Call, int]) -> None:
        """Add what was asked of the vendor; `made` counts calls since the start."""
        calls = sum(made.get(kind, 0) for kind in _ASKING)
        self.counts.metadata.misses += calls - self._calls
        self._calls = calls
