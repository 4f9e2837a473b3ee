"""The fault atlas: what may go wrong when, always less than what the protocol promises to survive.

Rule: what a disk loses (power, wipe, damage) hits one bank at a time, until a keeper has found that bank
clean again; a blackout of all banks hits only when all are clean.
Rule: processes die, hang and are cut off at any time; in the end everything comes back.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim_losses import LOSSES, Losses

if TYPE_CHECKING:
    from sim_run import Simulation

FAULTS = (
    ("kill", 5), ("die", 4), ("hang", 3), ("partition", 4), ("slow", 2), ("keeper", 5), ("second", 3),
    ("clean", 2), ("power", 4), ("power_die", 2), ("wipe", 3), ("damage_rows", 3), ("damage_blobs", 2),
    ("sync_fails", 2), ("blackout", 1), ("away", 2), ("isolate", 4), ("duel", 4),
    ("amnesia", 4), ("hide", 4), ("slow_disk", 2), ("brownout", 6), ("relapse", 5), ("full", 2),
    ("damage_spread", 1), ("rollback", 3), ("torn", 3),
    ("foreign", 3),
)  # fmt: skip


class Atlas(Losses):
    """Draws faults for `simulation`."""

    faults: tuple[tuple[str, int], ...] = FAULTS

    def __init__(self, simulation: "Simulation") -> None:
        super().__init__(simulation)
        self.counts: dict[str, int] = {}

    def on_clean(self, bank: int, since: float) -> None:
        """A keeper found `bank` without fault in a compare begun at `since`."""
        if bank in self.impaired and self.impaired[bank] < since:
            del self.impaired[bank]

    def strike(self) -> None:
        """Let one fault happen, if it is allowed now."""
        rng = self.simulation.world.rng
        names, weights = zip(*self.faults, strict=True)
        (name,) = rng.choices(names, weights)
        bank = rng.choice(list(self.simulation.banks))
        if name in LOSSES:
            if any(other != bank for other in self.impaired):
                return
            self.impaired[bank] = float("inf")
        self.counts[name] = self.counts.get(name, 0) + 1
        self.simulation.world.trace(f"fault: {name} {bank}")
        getattr(self, f"_{name}")(bank)

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
        self.simulation.network.slow(bank, self.simulation.world.rng.uniform(0.01, 0.2), 2.0)

    def _isolate(self, _bank: int) -> None:
        """The leading keeper is cut off from most banks, and another one starts.

        A bank left to it may be slow to sync: what the old keeper asked for ends under the new one.
        """
        rng = self.simulation.world.rng
        name = self.simulation.leading
        seconds = rng.uniform(1.0, 8.0)
        cut = rng.sample(list(self.simulation.banks), rng.choice((2, 2, 3)))
        for bank, servers in self.simulation.banks.items():
            if bank not in cut:
                self._slow_disk(bank)
                continue
            for server in servers:
                for direction in ("to", "from"):
                    self.simulation.network.block(server.port, direction, seconds, name)
        self._later(rng.uniform(0.0, 0.5), self.simulation.start_keeper)

    def _duel(self, bank: int) -> None:
        """Another keeper starts over slow links, and a bank dies for a moment while it takes over."""
        world, network = self.simulation.world, self.simulation.network
        for other in self.simulation.banks:
            network.slow(other, world.rng.choice((0.0, 0.01, 0.05)), 2.0, self.simulation.next_name)
        self.simulation.start_keeper()
        for _ in range(2):
            server = self.simulation.banks[bank][0]
            at = world.rng.uniform(0.1, 0.4)
            self._later(at, server.kill)
            self._later(at + world.rng.uniform(0.005, 0.05), server.start)

    def _amnesia(self, bank: int) -> None:
        """A bank promises a new keeper, then comes back wiped, unseen by it."""
        self._unseen(bank, self.simulation.banks[bank][0].wipe, self.simulation.world.rng.uniform(1.2, 2.5))
        self.simulation.world.after(0.15, self._over, bank)

    def _relapse(self, bank: int) -> None:
        """A bank promises a new keeper, then dies and comes back, unseen by it."""
        self._unseen(bank, self.simulation.banks[bank][0].kill, 0.2)

    def _unseen(self, bank: int, forget: Callable[[], None], sees_third_after: float) -> None:
        """The old keeper goes on with that bank and another; the new one hears of the third first."""
        simulation, world = self.simulation, self.simulation.world
        network, old, new = simulation.network, simulation.leading, simulation.next_name
        third, other = world.rng.sample([base for base in simulation.banks if base != bank], 2)
        network.block(third, "to", sees_third_after, new)
        network.block(other, "to", sees_third_after + 1.5, new)
        network.slow(third, world.rng.uniform(0.0, 0.3), 4.0, old)
        simulation.start_keeper()
        for direction in ("to", "from"):
            self._later(0.115, network.block, bank, direction, 6.0, new)
        self._later(0.12, forget)
        self._later(0.14, simulation.banks[bank][0].start)

    def _hide(self, bank: int) -> None:
        """A keeper can't see an acceptor and moves its role; the next keeper sees the old one only."""
        world, network = self.simulation.world, self.simulation.network
        old, new = self.simulation.banks[bank]
        name = self.simulation.leading
        for direction in ("to", "from"):
            network.block(old.port, direction, 9.0, name)

        def second() -> None:
            after = self.simulation.next_name
            for direction in ("to", "from"):
                network.block(new.port, direction, 4.0, after)
            for other in self.simulation.banks:
                if other != bank:
                    network.slow(other, world.rng.choice((0.0, 0.1, 0.3)), 4.0, after)
            self.simulation.start_keeper()

        self._later(world.rng.uniform(6.3, 8.0), second)
        world.after(9.0, self._over, bank)

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
