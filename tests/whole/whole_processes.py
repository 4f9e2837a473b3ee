"""The processes of a whole drive: a server of a bank, a keeper; each may be killed between any two steps."""

import contextlib
from typing import TYPE_CHECKING, Any

from trivet.bank.bank_records import RecordsOfBank
from trivet.bank.place import Place
from trivet.bank.requests import Requests
from trivet.bank.stored_paths import StoredPaths
from trivet.errors import ConfigError, CorruptReplica, NoMajority
from trivet.keeper.keeper import Keeper
from trivet.keeper.local_volume import LocalVolume
from whole_disk import Disk
from whole_loop import Killed, Process
from whole_net import Port
from whole_threads import LoopPool, LoopStore

if TYPE_CHECKING:
    from whole_drive import WholeDrive

REFRESH_S = 2.0
DATABASES = ("records.sqlite", "foreign.sqlite")


class BankProcess(Process):
    """One server of a bank: the real stores and answers in a process that can be killed."""

    def __init__(self, drive: "WholeDrive", port: int, boot: str, disk: Disk | None = None) -> None:
        super().__init__(drive.loop, f"server {port}", boot=boot)
        self.drive = drive
        self.port = port
        base = drive.base_of(port)
        self.own = drive.folder.server_path(base, port)
        self.own.mkdir(parents=True, exist_ok=True)
        self.disk = Disk(self.own, drive.rng) if disk is None else disk.next_process()
        self.place: Place | None = None
        self.requests: Requests | None = None
        self.paths: StoredPaths | None = None
        self.run(self._run(base))

    async def _run(self, base: int) -> None:
        drive = self.drive
        config, key = drive.folder.read_config(), drive.folder.read_key()
        pool: Any = LoopPool(drive.loop)
        try:
            self.place = Place(self.own, config.volume, self.port, key, pool, first=self.port == base)
        except (OSError, ConfigError) as error:
            drive.trace(f"{self.name} can't start: {type(error).__name__}")
            self.on_crash()
            raise Killed from error
        self.paths = self._by_hand(base, key)
        self.requests = Requests(self.place, self.own, key, pool, on_failure=self._fail, on_ended=self._ended)
        handle = self.requests.handle
        drive.network.ports[str(self.port)] = Port(self, lambda: (handle, lambda: None), str(self.port))
        drive.trace(
            f"{self.name} is {self.place.acceptor.meta.standing}, head {self.place.acceptor.chain.head}"
        )
        while True:
            with contextlib.suppress(OSError):
                try:
                    await self.requests.make_room()
                except CorruptReplica as error:
                    self._fail(error)
            await drive.sleep(0.5)

    def _by_hand(self, base: int, key: bytes) -> StoredPaths:
        """What stands behind the XML-RPC door; the keeper's next compare sees what was done there."""
        place: Any = self.place
        others = [port for port in self.drive.bank_ports(base) if port != self.port]
        bank = RecordsOfBank(place.records, place.acceptor, lambda: others, key)
        foreign: Any = LoopStore("foreign", place.foreign)
        return StoredPaths(place.acceptor, place.records, place.blobs, foreign, bank, lambda path: None)

    def _fail(self, error: Exception) -> None:
        """As in a real server: write down that nothing unsynced counts, and end."""
        assert self.place is not None
        self.place.record_failure(error)
        self.drive.trace(f"{self.name} fails: {error}")
        self.on_crash()
        raise Killed

    def _ended(self, task: Any) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Killed):
            self.loop.bugs.append(error)
            self.loop.stop()

    def on_crash(self) -> None:
        """The process dies in the middle of a call."""
        self.drive.kill_server(self.port)

    def kill(self) -> None:
        """kill -9, with what SQLite had written left as it is."""
        super().kill()
        found = {}
        for name in DATABASES:
            for path in (self.own / name, self.own / f"{name}-wal"):
                if path.exists():
                    found[path] = path.read_bytes()
        self.disk.close_all()
        for path, content in found.items():
            path.unlink(missing_ok=True)
            path.write_bytes(content)


class KeeperProcess(Process):
    """A keeper that is being started, or serves."""

    def __init__(self, drive: "WholeDrive", number: int) -> None:
        super().__init__(drive.loop, f"keeper {number}", rate=drive.rng.uniform(0.97, 1.03))
        self.drive = drive
        self.ended = drive.loop.create_future()
        self.keeper: Keeper | None = None
        self.is_serving = False
        self.run(self._run())

    async def _run(self) -> None:
        drive = self.drive
        keeper = self.keeper = Keeper(drive.folder, drive.durability, REFRESH_S)
        self.run(self._watch(keeper))
        await keeper.start()
        try:
            await keeper.take_over()
        except NoMajority as error:
            if not drive.may_refuse:
                raise
            drive.refused.append(str(error))
            drive.kill_keeper()
            raise Killed from error
        self.is_serving = True
        drive.trace(f"{self.name} serves from slot {self.log.head}")
        drive.on_serving(self)

    async def _watch(self, keeper: Keeper) -> None:
        """A keeper that is deposed ends, while it takes over, too."""
        await keeper.ended.wait()
        self.drive.trace(f"{self.name} is deposed")
        self.drive.kill_keeper()

    @property
    def log(self) -> Any:
        """The leader's log."""
        assert self.keeper is not None
        assert self.keeper.shell is not None
        return self.keeper.shell.leader.reign.log

    @property
    def volume(self) -> LocalVolume:
        """The volume it serves."""
        assert self.keeper is not None
        assert self.keeper.loaded is not None
        return self.keeper.loaded.volume

    def kill(self) -> None:
        """kill -9."""
        super().kill()
        keeper = self.keeper
        if keeper is not None and keeper.loaded is not None:
            keeper.loaded.history._close()
        if not self.ended.done():
            self.ended.set_result(None)
