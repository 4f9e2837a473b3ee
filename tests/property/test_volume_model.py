"""LocalVolume against a real directory: the same operations, the same results, errno, stat and bytes."""

import asyncio
import errno
import random
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from memory_ports import MemoryBanks
from posix_driver import DiskDriver, VolumeDriver
from trivet.keeper import blob_writing, flushing, packing, write_path
from trivet.keeper.local_volume import LocalVolume
from trivet.volume import layout
from virtual_time import VirtualTimeLoop
from volume_snapshot import assert_same_volume

NAMES = st.sampled_from([b"a", b"b", b"c", b"new\nline", b"\xff\xfe", b"n" * 255, b"n" * 256])
DIRECTORIES = st.sampled_from([b"", b"d", b"d/e", b"f"])
PATHS = st.one_of(
    st.sampled_from([b"d", b"d/e", b"f"]),
    st.builds(lambda d, n: d + b"/" + n if d else n, DIRECTORIES, NAMES),
)
EDGES = (0, 1, 100, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 300_000, (1 << 20) - 1, 1 << 20, 1_100_000)
OFFSETS = st.one_of(st.sampled_from(EDGES), st.integers(0, 2_200_000))
LENGTHS = st.sampled_from([0, 1, 10, 4096, 5000, 65536, 70_000, 1 << 20, 1_300_000])
FILE_SLOTS = st.integers(0, 3)


class VolumeAgainstDisk(RuleBasedStateMachine):
    """Two file systems, one user, and a background that flushes when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.rng = random.Random(0)
        self.banks = MemoryBanks(rng=self.rng)
        self.volume = self.loop.run_until_complete(self.started())
        self.folder = tempfile.mkdtemp(prefix="trivet-model-").encode()
        self.ours = VolumeDriver(self.volume, self.loop)
        self.disk = DiskDriver(self.folder)
        self.tasks: list[asyncio.Future[Any]] = []
        self.bytes_seed = 0

    async def started(self) -> LocalVolume:
        """Return an empty volume at work."""
        volume = self.banks.fresh()
        await volume.start()
        return volume

    def both(self, operation: Callable[[Any], Any]) -> None:
        """Do the same on both; the outcome must be the same."""
        outcomes = []
        for driver in (self.ours, self.disk):
            try:
                outcomes.append(operation(driver))
            except OSError as error:
                outcomes.append(errno.errorcode[error.errno])
        assert outcomes[0] == outcomes[1]

    def data(self, length: int) -> bytes:
        """Return bytes that tell every write from every other."""
        self.bytes_seed += 1
        unit = b"%d|" % self.bytes_seed
        return (unit * (length // len(unit) + 1))[:length]

    @rule(path=PATHS)
    def mkdir(self, path: bytes) -> None:
        self.both(lambda fs: fs.mkdir(path))

    @rule(path=PATHS)
    def rmdir(self, path: bytes) -> None:
        self.both(lambda fs: fs.rmdir(path))

    @rule(path=PATHS, slot=FILE_SLOTS, truncate=st.booleans())
    def open(self, path: bytes, slot: int, truncate: bool) -> None:
        self.both(lambda fs: fs.open(path, slot, truncate))

    @rule(slot=FILE_SLOTS)
    def close(self, slot: int) -> None:
        self.both(lambda fs: fs.close(slot))

    @rule(path=PATHS, length=LENGTHS)
    def put(self, path: bytes, length: int) -> None:
        data = self.data(length)
        self.both(lambda fs: fs.put(path, data))

    @rule(slot=FILE_SLOTS, offset=OFFSETS, length=LENGTHS)
    def write(self, slot: int, offset: int, length: int) -> None:
        data = self.data(length)
        self.both(lambda fs: fs.write(slot, offset, data))

    @rule(slot=FILE_SLOTS, offset=OFFSETS, count=st.integers(2, 60), size=st.sampled_from([1, 7, 4096]))
    def write_in_steps(self, slot: int, offset: int, count: int, size: int) -> None:
        data = self.data(size)
        for step in range(count):
            self.both(lambda fs, at=offset + step * 2 * size: fs.write(slot, at, data))

    @rule(slot=FILE_SLOTS, offset=OFFSETS, length=LENGTHS)
    def read(self, slot: int, offset: int, length: int) -> None:
        self.both(lambda fs: fs.read(slot, offset, length))

    @rule(slot=FILE_SLOTS, size=OFFSETS)
    def truncate(self, slot: int, size: int) -> None:
        self.both(lambda fs: fs.truncate(slot, size))

    @rule(slot=FILE_SLOTS)
    def fsync(self, slot: int) -> None:
        self.both(lambda fs: fs.fsync(slot))

    @rule(path=PATHS)
    def unlink(self, path: bytes) -> None:
        self.both(lambda fs: fs.unlink(path))

    @rule(path=PATHS, new_path=PATHS, flags=st.sampled_from([0, 0, 1, 2]))
    def rename(self, path: bytes, new_path: bytes, flags: int) -> None:
        self.both(lambda fs: fs.rename(path, new_path, flags))

    @rule(path=PATHS, new_path=PATHS)
    def link(self, path: bytes, new_path: bytes) -> None:
        self.both(lambda fs: fs.link(path, new_path))

    @rule(path=PATHS, points_at=st.sampled_from([b"a", b"d/b", b"nowhere", b"t" * 4095]))
    def symlink(self, path: bytes, points_at: bytes) -> None:
        self.both(lambda fs: fs.symlink(path, points_at))

    @rule(path=PATHS, mode=st.sampled_from([0o600, 0o777, 0o644, 0o2755]))
    def chmod(self, path: bytes, mode: int) -> None:
        self.both(lambda fs: fs.chmod(path, mode))

    @rule(path=PATHS, seconds=st.integers(0, 1 << 31))
    def utime(self, path: bytes, seconds: int) -> None:
        self.both(lambda fs: fs.utime(path, seconds))

    @rule(path=PATHS)
    def look(self, path: bytes) -> None:
        self.both(lambda fs: fs.stat(path))
        self.both(lambda fs: fs.names(path))

    @rule(slot=FILE_SLOTS)
    def flush_in_background(self, slot: int) -> None:
        handle = self.ours.files.get(slot)
        if handle is not None:
            self.tasks.append(self.loop.create_task(self.volume.fsync(handle[0])))

    @rule(turns=st.integers(1, 30))
    def let_time_pass(self, turns: int) -> None:
        async def pass_turns() -> None:
            for _turn in range(turns):
                await asyncio.sleep(0)
            if turns > 25:
                await asyncio.sleep(turns / 25)

        self.loop.run_until_complete(pass_turns())

    @rule()
    def settle_and_reload(self) -> None:
        self.settle()
        space, problems = self.banks.loaded()
        assert problems == []
        self.loop.run_until_complete(assert_same_volume(self.volume, self.banks, space))

    def settle(self) -> None:
        async def wait() -> None:
            await asyncio.gather(*self.tasks, return_exceptions=True)
            for slot in list(self.ours.files):
                await self.volume.fsync(self.ours.files[slot][0])
            for ino in list(self.volume.space.dirty):
                await self.volume._writes.flush(ino)
            await self.volume._submitter.durable()
            while self.volume.space.doomed:  # noqa: ASYNC110 - only time takes them away
                await asyncio.sleep(0.1)
            await self.volume._submitter.durable()

        self.loop.run_until_complete(wait())
        self.tasks.clear()
        self.banks.audit()

    @invariant()
    def accounts_agree(self) -> None:
        dirty = self.volume.space.dirty
        assert dirty.cost_bytes == sum(dirty.get(ino).cost_bytes for ino in dirty)  # type: ignore[union-attr]

    def teardown(self) -> None:
        for slot in list(self.ours.files):
            self.both(lambda fs, slot=slot: fs.close(slot))
        self.settle()
        assert self.ours.tree() == self.disk.tree()
        space, problems = self.banks.loaded()
        assert problems == []
        self.loop.run_until_complete(assert_same_volume(self.volume, self.banks, space))
        self.loop.run_until_complete(self.volume.close())
        self.loop.close()
        shutil.rmtree(self.folder)


class VolumeOfSmallSteps(VolumeAgainstDisk):
    """The same with limits so low that every large thing is done in many steps."""

    def __init__(self) -> None:
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(layout, "SLICE_RECORDS", 2)
        self.patches.setattr(flushing, "CHUNKS_AT_ONCE", 1)
        for module in (flushing, packing):
            self.patches.setattr(module, "PACK_FROM_PAGES", 3)
        self.patches.setattr(blob_writing, "MAX_PIECES", 3)
        self.patches.setattr(write_path, "_EARLY_FLUSH_BYTES", 200_000)
        super().__init__()

    def teardown(self) -> None:
        super().teardown()
        self.patches.undo()


SETTINGS = settings(max_examples=50, stateful_step_count=50)
VolumeAgainstDisk.TestCase.settings = SETTINGS
VolumeOfSmallSteps.TestCase.settings = SETTINGS
TestVolumeAgainstDisk = VolumeAgainstDisk.TestCase
TestVolumeOfSmallSteps = VolumeOfSmallSteps.TestCase
