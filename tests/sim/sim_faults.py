"""The fault atlas: what may go wrong when, always less than what the protocol promises to survive.

Rule: what a disk loses (power, wipe, damage) hits one bank at a time, until a keeper has found that bank
clean again; a blackout of all banks hits only when all are clean.
Rule: processes die, hang and are cut off at any time; in the end everything comes back.
"""

from typing import TYPE_CHECKING

from trivet.wire.records import Row

if TYPE_CHECKING:
    from sim_run import Simulation

FAULTS = (
    ("kill", 5), ("die", 4), ("hang", 3), ("partition", 4), ("slow", 2), ("keeper", 5), ("second", 3),
    ("clean", 2), ("power", 4), ("power_die", 2), ("wipe", 3), ("damage_rows", 3), ("damage_blobs", 2),
    ("sync_fails", 2), ("blackout", 1), ("away", 2),
)  # fmt: skip


class Atlas:
    """Draws faults for `simulation`."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.impaired: dict[int, float] = {}
        self.counts: dict[str, int] = {}

    def on_clean(self, bank: int, since: float) -> None:
        """A keeper found `bank` without fault in a compare begun at `since`."""
        if bank in self.impaired and self.impaired[bank] < since:
            del self.impaired[bank]

    def strike(self) -> None:
        """Let one fault happen, if it is allowed now."""
        rng = self.simulation.world.rng
        names, weights = zip(*FAULTS, strict=True)
        (name,) = rng.choices(names, weights)
        bank = rng.choice(list(self.simulation.banks))
        if name in ("power", "power_die", "wipe", "damage_rows", "damage_blobs", "sync_fails", "away"):
            if any(other != bank for other in self.impaired):
                return
            self.impaired[bank] = float("inf")
        self.counts[name] = self.counts.get(name, 0) + 1
        self.simulation.world.trace(f"fault: {name} {bank}")
        getattr(self, f"_{name}")(bank)

    def _over(self, bank: int) -> None:
        """The fault at `bank` is done; from now on a compare may find it clean."""
        self.impaired[bank] = self.simulation.world.now

    def _server(self, bank: int) -> int:
        return self.simulation.world.rng.choice((0, 0, 0, 1))

    def _kill(self, bank: int) -> None:
        self.simulation.banks[bank][self._server(bank)].kill()

    def _die(self, bank: int) -> None:
        self.simulation.banks[bank][0].crash_in = "kill"

    def _hang(self, bank: int) -> None:
        world = self.simulation.world
        self.simulation.banks[bank][0].hung_until = world.now + world.rng.uniform(0.2, 4.0)

    def _partition(self, bank: int) -> None:
        world = self.simulation.world
        for direction in world.rng.choice((["to"], ["from"], ["to", "from"])):
            self.simulation.network.block(bank, direction, world.rng.uniform(0.2, 4.0))

    def _slow(self, bank: int) -> None:
        world = self.simulation.world
        self.simulation.network.delay_s[bank] = world.rng.uniform(0.01, 0.2)
        world.after(2.0, self.simulation.network.delay_s.pop, bank, None)

    def _keeper(self, _bank: int) -> None:
        self.simulation.kill_keeper()

    def _second(self, _bank: int) -> None:
        self.simulation.start_keeper()

    def _clean(self, bank: int) -> None:
        self.simulation.banks[bank][0].stop_cleanly()

    def _away(self, bank: int) -> None:
        """The acceptor's server stays away so long that its role moves."""
        self.simulation.stay_away(bank, 0, self.simulation.world.rng.uniform(6.0, 12.0))
        self._over(bank)

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
        rng = self.simulation.world.rng
        for server in self.simulation.banks[bank]:
            for key in sorted(server.disk.rows):
                row, fate = server.disk.rows[key], rng.random()
                if fate < 0.1:
                    del server.disk.rows[key]
                elif fate < 0.3:
                    server.disk.rows[key] = Row(key, row.slot, row.value + b"!", row.mac)
                elif fate < 0.4:
                    server.disk.rows[key] = Row(key, row.slot + 3, row.value, row.mac)
        self._over(bank)

    def _damage_blobs(self, bank: int) -> None:
        rng = self.simulation.world.rng
        disk = self.simulation.banks[bank][0].disk
        for name in sorted(disk.blobs):
            fate = rng.random()
            if fate < 0.2:
                del disk.blobs[name]
            elif fate < 0.5:
                disk.blobs[name] = disk.blobs[name][:-1] + b"!"
        self._over(bank)
