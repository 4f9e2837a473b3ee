"""Whatever people, the vendor and the line do: no byte goes from here that the vendor does not have."""

import asyncio
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.drive.upstream.heat import HALF_LIFE_S, warmed
from trivet.errors import ContentAway, NotFound, TrivetError
from trivet.upstream.evicting import Evicting
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig
from vendor_server import Vendor

SEEDS = int(os.environ.get("TRIVET_EVICTION_SEEDS", "6"))
STEPS, FILES, LIMIT = 60, 8, 20_000


class Watched(Evicting):
    """Looks at each body that goes: the vendor must have had these very bytes."""

    rig: UpstreamRig
    went = 0

    async def _exchange(self, row, ino, attributes, version):  # type: ignore[no-untyped-def]
        """See Evicting."""
        space = self.rig.volume
        snapshot = await space.open_snapshot(ino)
        body = await space.read(snapshot.handle, 0, snapshot.attributes.size)
        same_version = snapshot.version == version
        await space.release(snapshot.handle)
        why = await super()._exchange(row, ino, attributes, version)
        if why is None and same_version:
            self.went += 1
            assert bytes(body) in self.rig.ever, "bytes went that the vendor never had"  # type: ignore[attr-defined]
        return why


def _id(rig: UpstreamRig, name: str) -> str | None:
    files = rig.vendor.drive.files.values()
    return next((one.id for one in files if one.name == name and not rig.vendor.drive.is_trashed(one)), None)


async def _step(rig: UpstreamRig, rng: random.Random, wanted: dict[str, bytes]) -> None:
    name, body = f"f{rng.randrange(FILES)}", rng.randbytes(rng.choice((10, 3000, 9000)))
    what = rng.choice(("read", "read", "read", "write", "hold", "evict", "down", "up", "rest"))
    if what == "read" and await rig.is_there(name):
        try:
            got = await rig.read(name)
        except TrivetError:
            return
        assert got == wanted[name], "one who writes reads what was written"
    elif what == "write":
        wanted[name] = body
        await rig.write(name, body)
    elif what == "hold" and await rig.is_there(name):
        try:
            handle = await rig.volume.open(await rig.ino(name), writing=True, truncate=False, sync=False)
        except ContentAway:
            return
        await asyncio.sleep(rng.expovariate(1 / 20.0))
        await rig.volume.write(handle, 0, b"held")
        wanted[name] = b"held" + wanted[name][4:]
        await rig.volume.release(handle)
    elif what == "evict":
        try:
            await rig.work.cache.evict(f"/google/{name}")
        except NotFound:
            return
    elif what in ("down", "up"):
        rig.vendor.faults.down = what == "down"
    await asyncio.sleep(rng.expovariate(1 / 15.0))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nothing_goes_that_is_not_upstream(tmp_path: Path, seed: int) -> None:
    async def run() -> None:
        vendor, rng = Vendor(seed=seed), random.Random(seed)
        wanted = {f"f{number}": rng.randbytes(3000) for number in range(FILES // 2)}
        for name, body in wanted.items():
            vendor.put(name, body)
        async with upstream_rig(tmp_path, vendor, seed=seed, cache_bytes=LIMIT) as rig:
            rig.ever = {one.data for one in vendor.drive.files.values()}  # type: ignore[attr-defined]
            update, create = vendor.drive.update, vendor.drive.create

            def updated(*args, **more):  # type: ignore[no-untyped-def]
                made = update(*args, **more)
                rig.ever.add(made.data)  # type: ignore[attr-defined]
                return made

            def created(*args, **more):  # type: ignore[no-untyped-def]
                made = create(*args, **more)
                rig.ever.add(made.data)  # type: ignore[attr-defined]
                return made

            vendor.drive.update, vendor.drive.create = updated, created  # type: ignore[method-assign]
            await rig.settled()
            cache = rig.work.cache
            watched = Watched(rig.work.up, rig.work.outbox, rig.work.fetching)
            watched.rig, cache._evicting = rig, watched
            for _ in range(STEPS):
                await _step(rig, rng, wanted)
            vendor.faults.down = False
            await asyncio.sleep(300)  # until those who paused look again
            await rig.settled(within_s=4 * 3600)
            assert {name: vendor.named(name) for name in wanted} == {
                name: [body] for name, body in wanted.items()
            }
            await cache.evict("/google")
            for name, body in wanted.items():
                assert await rig.read(name) == body
            await asyncio.sleep(600)
            assert cache.bodies.size_bytes <= LIMIT
            assert watched.went > 0, "the run never evicted anything"

    in_virtual_time(run())


_moment = st.floats(0, 400 * 24 * 3600.0)


@given(_moment, _moment, st.integers(1, 1000), _moment)
@settings(deadline=None)
def test_heat_needs_no_ageing(first_s: float, second_s: float, uses: int, later_s: float) -> None:
    """The order of bodies does not depend on when it is looked at, nor on when uses are heard of."""
    one, many = warmed(None, first_s), warmed(None, first_s, uses)
    assert warmed(one, first_s + later_s) >= first_s + later_s
    assert warmed(None, first_s, 2 * uses) == pytest.approx(many + HALF_LIFE_S)
    both = warmed(many, second_s, 3), warmed(warmed(None, second_s, 3), first_s, uses)
    assert both[0] == pytest.approx(both[1])
