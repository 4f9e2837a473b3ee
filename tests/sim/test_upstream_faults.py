"""Seeded runs in virtual time: people change both sides while the line between them fails in every way.

Replay one seed: `TRIVET_UPSTREAM_SEED=n .venv/bin/python -m pytest tests/sim/test_upstream_faults.py`.
"""

import asyncio
import hashlib
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from unittest.mock import patch

import pytest

from trivet.errors import TrivetError
from trivet.upstream import sending
from upstream_rig import UpstreamRig, in_virtual_time, upstream_rig
from vendor_drive import FOLDER, ROOT, VendorDrive
from vendor_faults import KINDS
from vendor_server import Vendor

FIRST = int(os.environ.get("TRIVET_UPSTREAM_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("TRIVET_UPSTREAM_SEEDS", "500")))
if "TRIVET_UPSTREAM_SEED" in os.environ:
    SEEDS = range(int(os.environ["TRIVET_UPSTREAM_SEED"]), int(os.environ["TRIVET_UPSTREAM_SEED"]) + 1)
#: So small that an upload takes several, and may break off between two.
CHUNK_BYTES = 256 << 10
STEPS = 25
WRITES = 100
HOUR_S = 3600.0


class People:
    """Changes both sides, files of their own each, and remembers what was written."""

    def __init__(self, rig: UpstreamRig, seed: int) -> None:
        self.rig = rig
        self.rng = random.Random(seed)
        self.here: dict[str, bytes] = {}
        self.there: dict[str, bytes] = {}
        self.writes = 0
        self._count = 0

    async def step(self) -> None:
        """Do one thing on one side."""
        rng, rig = self.rng, self.rig
        what = rng.choice(("write", "write", "rewrite", "rename", "remove", "read", "put", "change"))
        mine = rng.choice(list(self.here)) if self.here else None
        theirs = rng.choice(list(self.there)) if self.there else None
        if what == "write" or (what == "rewrite" and mine):
            name = self._name("here") if what == "write" or mine is None else mine
            self.here[name] = self._body()
            self.writes += 1
            await rig.write(name, self.here[name])
        elif what in ("rename", "remove") and mine:
            body = self.here.pop(mine)
            folder = await rig.ino("")
            if what == "remove":
                await rig.volume.unlink(folder, mine.encode())
            else:
                name = self._name("here")
                self.here[name] = body
                await rig.volume.rename(
                    folder, mine.encode(), folder, name.encode(), replace=False, exchange=False
                )
        elif what == "put":
            name = self._name("there")
            self.there[name] = self._body()
            rig.vendor.put(name, self.there[name])
        elif what == "change" and theirs:
            self.there[theirs] = self._body()
            rig.vendor.drive.update(self._id(theirs), {}, self.there[theirs])
        elif what == "read" and theirs and await rig.is_there(theirs):
            try:
                await rig.read(theirs)
            except TrivetError:
                return

    def _name(self, side: str) -> str:
        self._count += 1
        return f"{side} {self._count}.bin"

    def _body(self) -> bytes:
        return self.rng.randbytes(self.rng.choice((0, 10, 5000, 300_000)))

    def _id(self, name: str) -> str:
        files = self.rig.vendor.drive.files.values()
        return next(one.id for one in files if one.name == name and one.parent == ROOT)

    async def check(self) -> None:
        """Assert that both sides hold what was written last, byte for byte, and nothing else."""
        rig, wanted = self.rig, self.here | self.there
        files = rig.vendor.drive.files.values()
        at_vendor = {one.name: one.data for one in files if one.parent == ROOT and not one.trashed}
        assert at_vendor == wanted
        assert await rig.names() == sorted(wanted)
        for name, body in wanted.items():
            assert await rig.read(name) == body

    def check_once(self, before: int) -> None:
        """Assert that no write of ours arrived twice."""
        drive = self.rig.vendor.drive
        created = [file for what, file in drive.applied[before:] if what == "create"]
        assert len(created) == len(set(created))
        ours = [one for one in drive.files.values() if one.name.startswith("here")]
        assert len({one.name for one in ours}) == len(ours), "a name of ours was made twice"


async def _settle(rig: UpstreamRig) -> None:
    """Let the line be good, and wait until all is well."""
    rig.vendor.faults.share, rig.vendor.faults.down = 0.0, False
    await rig.settled(within_s=4 * HOUR_S)


def end_in_two_equal_sides(place: Path, seed: int) -> None:
    """Run one seed; raises AssertionError when a promise was broken."""

    async def run() -> None:
        vendor = Vendor(VendorDrive(rng=random.Random(seed)), seed=seed)
        async with upstream_rig(place, vendor, seed=seed) as rig:
            await rig.settled()
            people = People(rig, seed)
            before = len(rig.vendor.drive.applied)
            rig.vendor.faults.share = people.rng.choice((0.05, 0.2, 0.4))
            for _ in range(STEPS):
                await people.step()
                await asyncio.sleep(people.rng.expovariate(1 / 8.0))
                if people.rng.random() < 0.1:
                    await rig.stop()
                    await rig.start()
            await _settle(rig)
            await people.check()
            people.check_once(before)

    place.mkdir()
    with patch.object(sending, "CHUNK_BYTES", CHUNK_BYTES):
        in_virtual_time(run())


@pytest.mark.timeout(60 + len(SEEDS))
def test_any_faults_end_in_two_equal_sides(tmp_path: Path) -> None:
    failed: dict[int, BaseException] = {}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        runs = {seed: pool.submit(end_in_two_equal_sides, tmp_path / str(seed), seed) for seed in SEEDS}
        for seed, run in runs.items():
            if (error := run.exception()) is not None:
                failed[seed] = error
    assert not failed, f"{len(failed)} of {len(SEEDS)} seeds, the first: {next(iter(failed.items()))}"


def test_a_day_of_a_flapping_vendor_every_write_arrives_exactly_once(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor(VendorDrive(rng=random.Random(5)), seed=5)
        async with upstream_rig(tmp_path, vendor, seed=5, poll_s=300.0) as rig:
            await rig.settled()
            rng = random.Random(5)
            wanted: dict[str, bytes] = {}
            for number in range(WRITES):
                name = f"here {number}"
                wanted[name] = rng.randbytes(rng.choice((0, 100, 20_000)))
                await rig.write(name, wanted[name])
                vendor.faults.down = not vendor.faults.down if rng.random() < 0.4 else vendor.faults.down
                vendor.faults.share = rng.choice((0.0, 0.1, 0.3))
                await asyncio.sleep(24 * HOUR_S / WRITES)
            await _settle(rig)
            files = [one for one in vendor.drive.files.values() if one.mime != FOLDER]
            assert {one.name: one.data for one in files} == wanted
            sums = sorted(hashlib.md5(body).hexdigest() for body in wanted.values())
            assert sorted(hashlib.md5(one.data or b"").hexdigest() for one in files) == sums
            assert [what for what, _ in vendor.drive.applied].count("create") == WRITES
            assert set(vendor.faults.met) >= set(KINDS) - {"expire"}

    in_virtual_time(run())
