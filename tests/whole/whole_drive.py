"""A whole drive in virtual time: real banks over simulated disks, a real keeper, and who starts them again.

Real: everything in keeper/, bank/, quorum/, volume/, the messages' codecs, the files and SQLite. Modelled:
the network (`whole_net`), what a disk keeps (`whole_disk`), threads, clocks, processes (`whole_loop`).
"""

import contextlib
import os
import random
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trivet.bank import bank_records, foreign_store, journal_file, place, record_store
from trivet.client import bank_pool, keeper_link
from trivet.io import clock, reach
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper import takeover
from trivet.keeper.local_volume import LocalVolume
from trivet.quorum import follower
from trivet.wire.auth import KEY_BYTES
from whole_disk import nothing_counts, simulated_disks
from whole_loop import Process, WholeLoop, current
from whole_net import Network, SimLink
from whole_processes import DATABASES, BankProcess, KeeperProcess
from whole_threads import LoopStore

BASES = [7000, 8000, 9000]
SERVERS = 2
VOLUME_KEY = bytes(range(KEY_BYTES))
JOURNAL_FILE_BYTES = 4 << 20
PART_BYTES = follower.PART_BYTES, 700  # logs travel at once, or in several parts


class WholeDrive:
    """The processes of one drive in `state`; `seed` decides everything that is left to chance."""

    def __init__(
        self, seed: int, state: Path, *, durability: Any, tell: Callable[[str], None] | None
    ) -> None:
        self.loop = WholeLoop(seed)
        self.rng: random.Random = self.loop.rng
        self.durability = durability
        self.folder = VolumeFolder(state)
        self.network = Network(self.loop, self.rng)
        self.servers: dict[int, BankProcess] = {}
        self.processes: list[Process] = []
        self.boots: dict[int, int] = dict.fromkeys(self.ports, 1)
        self.away: dict[int, float] = {}
        self.keeper: KeeperProcess | None = None
        self.keepers = 0
        self.keeper_away_until = 0.0
        self.is_calm = False
        self.wall_ahead_s = 0.0
        self.when_safe: Callable[[], None] | None = None
        self.may_refuse = False
        self.refused: list[str] = []
        self.told: list[str] = []
        self._tell = tell
        self.on_serving: Callable[[KeeperProcess], None] = lambda process: None
        SimLink.network = self.network

    @property
    def ports(self) -> list[int]:
        """The ports of all servers."""
        return [base + number for base in BASES for number in range(SERVERS)]

    def base_of(self, port: int) -> int:
        """The first port of the bank that `port` belongs to."""
        return BASES[self.folder.read_config().bank_of(port)]

    def bank_ports(self, base: int) -> list[int]:
        """The ports of one bank."""
        return [base + number for number in range(SERVERS)]

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.loop.time() - 1000.0

    def trace(self, what: str) -> None:
        """Note that something happened."""
        line = f"{self.now:10.4f}  {what}"
        self.told.append(line)
        if self._tell is not None:
            self._tell(line)

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        future = self.loop.create_future()
        handle = self.loop.call_later(seconds, lambda: future.done() or future.set_result(None))
        try:
            await future
        finally:
            handle.cancel()

    def clear(self) -> None:
        """Let go of everything, so that it can be cleared away."""
        for process in self.processes:
            for task in process.tasks:
                with contextlib.suppress(BaseException), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    task.get_coro().close()
        self.processes.clear()
        self.servers.clear()
        self.keeper = None
        self.network.ports.clear()
        self.loop._ready.clear()
        self.loop._scheduled.clear()

    # -- life and death

    def begin(self) -> None:
        """Make the volume and start everything."""
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.folder.key_path.write_bytes(VOLUME_KEY)
        self.folder.key_path.chmod(0o600)
        config = VolumeConfig("00" * 8, BASES, SERVERS)
        self.folder.config_path.write_bytes(msgspec.json.encode(config))
        self.folder.keeper_path.mkdir()
        for port in self.ports:
            self.start_server(port)
        self.start_keeper()
        self.loop.call_later(0.2, self._supervise)

    def start_server(self, port: int) -> None:
        """Start a server that does not run."""
        before = self.servers.get(port)
        disk = None if before is None else before.disk
        self.servers[port] = BankProcess(self, port, f"boot {port} {self.boots[port]}", disk)
        self.processes.append(self.servers[port])

    def kill_server(self, port: int) -> None:
        """kill -9 of a server."""
        server = self.servers[port]
        if server.is_alive:
            self.network.ports.pop(str(port), None)
            server.kill()
            self.trace(f"server {port} is dead")

    def cut_power(self, port: int, *, everything: bool = False) -> None:
        """A server's machine loses its power, and what was not synced (`everything`), or a part of it."""
        self.kill_server(port)
        self.boots[port] += 1
        server = self.servers[port]
        taken = server.disk.cut_power(everything=everything)
        for name in DATABASES:
            wal = server.own / f"{name}-wal"
            if wal.exists():
                os.truncate(wal, self.rng.randrange(wal.stat().st_size + 1))
        self.trace(f"server {port} lost its power and {taken} writes")

    def wipe(self, port: int) -> None:
        """A server's folder is emptied."""
        self.kill_server(port)
        shutil.rmtree(self.servers[port].own, ignore_errors=True)  # it may have been wiped a moment ago
        self.servers[port].disk.wipe()
        self.trace(f"server {port} is wiped")

    def start_keeper(self) -> None:
        """Start a keeper; the one before is dead, its lock sees to that."""
        self.keepers += 1
        self.keeper = KeeperProcess(self, self.keepers)
        self.processes.append(self.keeper)

    def kill_keeper(self, away_s: float = 0.0) -> None:
        """kill -9 of the keeper."""
        if self.keeper is not None and self.keeper.is_alive:
            self.keeper.kill()
            self.keeper_away_until = self.now + away_s
            self.trace(f"{self.keeper.name} is dead")

    def _supervise(self) -> None:
        """What `trivet up` does: start again what ended."""
        for port, server in self.servers.items():
            due = self.is_calm or self.now >= self.away.get(port, 0.0)
            if not server.is_alive and due and (self.is_calm or self.rng.random() < 0.5):
                self.start_server(port)
        assert self.keeper is not None
        if not self.keeper.is_alive and (self.is_calm or self.now >= self.keeper_away_until):
            self.start_keeper()
        self.loop.call_later(0.2, self._supervise)


class _Chance:
    """Stands where the module `random` does: chance that the seed decides."""

    def __init__(self, rng: random.Random) -> None:
        self.SystemRandom = lambda: rng


def _boot_id() -> str:
    process = current.get()
    return process.boot if process is not None else "boot"


@contextlib.contextmanager
def whole_drive(
    seed: int, state: Path, *, durability: Any = None, tell: Callable[[str], None] | None = None
) -> Iterator[WholeDrive]:
    """Give a drive in `state` (an empty folder) whose every clock, thread and process is simulated."""
    drive = WholeDrive(seed, state, durability=durability, tell=tell)
    loop, rng = drive.loop, drive.rng

    def steady_s() -> float:
        process = current.get()
        return loop.time() * (process.rate if process is not None else 1.0)

    def wall_ns() -> int:
        return 1_700_000_000_000_000_000 + int((loop.time() + drive.wall_ahead_s) * 1e9)

    with pytest.MonkeyPatch.context() as patch, simulated_disks():
        for name, ours in (
            ("steady_s", steady_s), ("wall_ns", wall_ns), ("wall_s", lambda: wall_ns() / 1e9)
        ):  # fmt: skip
            real = getattr(clock, name)
            for module in list(sys.modules.values()):
                if getattr(module, name, None) is real:
                    patch.setattr(module, name, ours)
        patch.setitem(LocalVolume.__init__.__kwdefaults__, "clock_ns", wall_ns)
        patch.setattr(os, "urandom", rng.randbytes)
        patch.setattr(takeover, "random", _Chance(rng))
        patch.setattr(time, "time", lambda: wall_ns() / 1e9)
        patch.setattr(place, "boot_id", _boot_id)
        patch.setattr(foreign_store, "boot_id", _boot_id)
        patch.setattr(foreign_store, "_boot_clock", steady_s)
        patch.setattr(record_store, "StoreThread", LoopStore)
        for module in (reach, bank_pool, bank_records, keeper_link):
            patch.setattr(module, "Link", SimLink)
        patch.setattr(follower, "PART_BYTES", PART_BYTES[seed % 2])
        patch.setattr(journal_file.Journal.__init__, "__defaults__", (JOURNAL_FILE_BYTES,))
        try:
            yield drive
        finally:
            if drive.keeper is not None:
                drive.kill_keeper()
            for port in drive.servers:
                drive.kill_server(port)
            with nothing_counts():
                drive.clear()
