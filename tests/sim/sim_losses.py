"""What a disk loses: power, wipes, damage, full disks; one half of the fault atlas."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim_disk import Disk
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.wire.records import Row

if TYPE_CHECKING:
    from sim_run import Simulation

#: Faults after which a bank may lack what it had, until a keeper has found it clean again.
LOSSES = (
    "power", "power_die", "wipe", "damage_rows", "damage_blobs", "sync_fails", "away", "amnesia", "hide",
    "rollback", "torn", "brownout",
)  # fmt: skip


class Losses:
    """Losses in `simulation`; `impaired` maps a bank to since when it may lack something."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.impaired: dict[int, float] = {}

    def _over(self, bank: int) -> None:
        """The fault at `bank` is done; from now on a compare may find it clean."""
        self.impaired[bank] = self.simulation.world.now

    def _later(self, delay: float, act: Callable[..., None], *args: object) -> None:
        """Let a part of a fault happen later, unless it is calm by then."""
        self.simulation.world.after(delay, lambda: None if self.simulation.is_calm else act(*args))

    def _power(self, bank: int) -> None:
        for server in self.simulation.banks[bank]:
            server.cut_power()
        self._over(bank)

    def _power_die(self, bank: int) -> None:
        server = self.simulation.banks[bank][0]
        server.crash_in = "power"
        self._over(bank)

    def _wipe(self, bank: int) -> None:
        servers = self.simulation.banks[bank]
        for server in self.simulation.world.rng.choice((servers, servers[:1])):
            server.wipe()
        self._over(bank)

    def _rollback(self, bank: int) -> None:
        """A bank is put back to what it was a moment ago, and nothing of its own tells it."""
        simulation, world = self.simulation, self.simulation.world
        servers = simulation.banks[bank]
        images = [server.disk.image() for server in servers]
        before = servers[0].disk.meta

        def strike() -> None:
            if self._may_roll_back(bank, before):
                for server, image in zip(servers, images, strict=True):
                    server.kill("is rolled back")
                    server.disk = image
                away = world.rng.choice([base for base in simulation.banks if base != bank])
                simulation.stay_away(away, 0, world.rng.uniform(0.5, 4.0))
                simulation.kill_keeper(every=True)
            self._over(bank)

        self._later(world.rng.uniform(0.4, 1.4), strike)
        world.after(1.5, self._over, bank)

    def _may_roll_back(self, bank: int, before: AcceptorMeta | None) -> bool:
        """Of a vote, or of what only two banks have, nothing would tell that it was rolled back."""
        oracle = self.simulation.oracle
        now = self.simulation.banks[bank][0].disk.meta
        same = before is not None and now is not None and before.promised == now.promised
        same = same and before.incarnation == now.incarnation and before.standing == now.standing == "voter"
        others = [servers[0].disk for base, servers in self.simulation.banks.items() if base != bank]
        last = max(oracle.acked, default=0)
        return (
            same
            and 0 < last <= oracle.durable
            and all(disk.holds(last, oracle.acked[last], synced=True) for disk in others)
        )

    def _torn(self, bank: int) -> None:
        """The end of a journal is damaged while another bank lags; the third and the keeper are away."""
        simulation, world = self.simulation, self.simulation.world
        lagging, away = world.rng.sample([base for base in simulation.banks if base != bank], 2)
        simulation.network.block(lagging, "to", 1.5)

        def strike() -> None:
            server = simulation.banks[bank][0]
            server.kill("has its journal torn")
            server.disk.tear(world.rng)
            self._over(bank)
            simulation.stay_away(away, 0, world.rng.uniform(0.5, 4.0))
            simulation.kill_keeper(every=True)

        self._later(world.rng.uniform(0.4, 1.4), strike)
        world.after(1.5, self._over, bank)

    def _slow_disk(self, bank: int) -> None:
        world = self.simulation.world
        server = self.simulation.banks[bank][0]
        server.sync_s = world.rng.choice((0.05, 0.5, 1.0))
        world.after(3.0, setattr, server, "sync_s", 0.0)

    def _brownout(self, bank: int) -> None:
        """A bank that syncs late loses its power while another lags; the third and the keeper die, too."""
        simulation, world = self.simulation, self.simulation.world
        lagging, dying = world.rng.sample([base for base in simulation.banks if base != bank], 2)
        simulation.network.block(lagging, "to", 1.0)
        self._slow_disk(bank)

        def strike() -> None:
            for server in simulation.banks[bank]:
                server.cut_power()
            self._over(bank)
            simulation.stay_away(dying, 0, world.rng.uniform(1.0, 5.0))
            simulation.kill_keeper(every=True)

        self._later(world.rng.uniform(0.1, 0.8), strike)
        world.after(0.9, self._over, bank)

    def _sync_fails(self, bank: int) -> None:
        self.simulation.banks[bank][0].fail_sync = True
        self._over(bank)

    def _blackout(self, _bank: int) -> None:
        """All banks lose their power at once, and the keeper with them."""
        if self.impaired:
            return
        for bank, servers in self.simulation.banks.items():
            for server in servers:
                server.cut_power()
            self._over(bank)
        self.simulation.kill_keeper(every=True)

    def _damage_rows(self, bank: int) -> None:
        for server in self.simulation.banks[bank]:
            for key in sorted(server.disk.rows):
                if self.simulation.world.rng.random() < 0.4:
                    self._damage_row(server.disk, key)
        self._over(bank)

    def _damage_row(self, disk: Disk, key: bytes) -> None:
        row, fate = disk.rows[key], self.simulation.world.rng.randrange(4)
        if fate == 0:
            del disk.rows[key]
        else:
            slot, value = row.slot + 3 * (fate == 1), row.value + b"!" * (fate != 1)
            disk.rows[key] = Row(key, slot, value, row.mac)

    def _damage_spread(self, _bank: int) -> None:
        """Rows are damaged on every bank, but one newest copy of each stays right.

        And its server is not given up before anybody has compared: then that copy would be lost as well.
        """
        seats = self.simulation.seats()
        if self.impaired or not seats:
            return
        rng = self.simulation.world.rng
        disks = [server.disk for server in seats]
        for key in sorted(set().union(*(disk.rows for disk in disks))):
            newest = max(disk.rows[key].slot for disk in disks if key in disk.rows)
            holders = [disk for disk in disks if key in disk.rows and disk.rows[key].slot == newest]
            for disk in rng.sample(holders, rng.randrange(len(holders))):
                self._damage_row(disk, key)
        for bank in self.simulation.banks:
            self._over(bank)
        for keeper in self.simulation.keepers:
            keeper.must_compare()
        if rng.random() < 0.7:
            self.simulation.kill_keeper(every=True)

    def _full(self, bank: int) -> None:
        """A disk has no room for a while."""
        world = self.simulation.world
        self.simulation.banks[bank][0].full_until = world.now + world.rng.uniform(0.5, 4.0)

    def _foreign(self, bank: int) -> None:
        """An entry that no keeper wrote stands in a journal when its server starts."""
        simulation, rng = self.simulation, self.simulation.world.rng
        server = simulation.banks[bank][0]
        server.kill("finds a foreign entry in its journal")
        server.disk.forge(b"i/foreign")
        if rng.random() < 0.5:
            simulation.kill_keeper(every=True)

    def _damage_blobs(self, bank: int) -> None:
        rng = self.simulation.world.rng
        disk = self.simulation.banks[bank][0].disk
        for name in sorted(disk.blobs):
            fate = rng.random()
            if fate < 0.2:
                del disk.blobs[name]
            elif fate < 0.5:
                disk.spoil_blob(name)
        self._over(bank)
