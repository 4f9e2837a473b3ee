"""What the cache of an upstream tells of itself: `trivet cache`, `GET /api/v1/cache`.

Rule: a field is added, never renamed, because people read `--json`.
"""

import msgspec

from trivet.io.cache_report import WorkerReport
from trivet.upstream.counts import Hits
from trivet.upstream.tree_walk import path_of
from trivet.upstream.warming import WarmUp
from trivet.upstream.work import UpstreamWork

HOT_MAX = 10


class Layer(msgspec.Struct, frozen=True):
    """One layer: `served_bytes` came from it, `size_bytes` in `items` are in it; None = not counted.

    `hit_rate` is None before anything was asked.
    """

    layer: str
    hits: int
    misses: int
    hit_rate: float | None
    served_bytes: int | None
    size_bytes: int | None
    items: int
    limit_bytes: int | None


class KeptHot(msgspec.Struct, frozen=True):
    """A body that is used often; `uses` since it came."""

    path: str
    size: int
    uses: int
    used_s: float


class CacheTold(msgspec.Struct, frozen=True):
    """The cache of one upstream; hits and misses since `since_s`, `negative` hits said "no such name"."""

    upstream: str
    at: str
    since_s: float
    limit_bytes: int | None
    layers: list[Layer]
    negative: int
    evicted: int
    evicted_bytes: int
    kept_hot: list[KeptHot]
    warm_ups: list[WarmUp]


class Caches(msgspec.Struct, frozen=True):
    """The cache of every upstream of a drive."""

    caches: list[CacheTold]


async def cache_of(work: UpstreamWork, workers: list[WorkerReport]) -> CacheTold:
    """Return how the cache of an upstream is; `workers` is what those of the door told last."""
    cache, up = work.cache, work.up
    cache.counts.called(up.vendor.made)
    counts, bodies = cache.counts.counts, cache.bodies
    (rows,) = await up.store.row("SELECT count(*) FROM mirror") or (0,)
    memory_bytes = sum(one.size_bytes for one in workers)
    memory_limit = sum(one.limit_bytes for one in workers)
    layers = [
        _layer("memory", counts.memory, memory_bytes, sum(one.items for one in workers), memory_limit),
        _layer("volume", counts.volume, bodies.size_bytes, bodies.items, cache.limit_bytes),
        _layer("metadata", counts.metadata, None, rows, None),
    ]
    hot = []
    for body in await bodies.warmest(HOT_MAX):
        path = await path_of(up.volume, body.ino)
        if path is not None:
            hot.append(KeptHot(path, body.size, body.uses, body.used_s))
    return CacheTold(
        up.name, work.account.at, counts.since_s, cache.limit_bytes, layers, counts.negative,
        counts.evicted, counts.evicted_bytes, hot, await cache.warm_ups.listed(),
    )  # fmt: skip


def _layer(name: str, hits: Hits, size_bytes: int | None, items: int, limit_bytes: int | None) -> Layer:
    asked = hits.hits + hits.misses
    served = None if size_bytes is None else hits.size_bytes
    rate = hits.hits / asked if asked else None
    return Layer(name, hits.hits, hits.misses, rate, served, size_bytes, items, limit_bytes)
