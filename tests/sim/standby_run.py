"""A run with a standby in CONFIG: two keepers, each under a name of its own, and all that may befall them.

Rule: what is read from a keeper that may answer holds everything that anybody was told before.
Rule: clients ask again until they are answered, whoever then reigns: what they asked for is done once.
"""

from sim_calls import Caller, Change
from sim_disk import KeeperDisk
from sim_faults import FAULTS, Atlas
from sim_keeper import SimKeeper
from sim_oracle import demand
from sim_run import CLIENTS, Simulation
from standby_keeper import PairKeeper
from trivet.quorum.lease import DRIFT
from trivet.quorum.membership import KEEPER, STANDBY

#: Of a pair the one that died stays away for a while, or nobody would ever take over from it.
AWAY_S = (0.2, 9.0)
PAIR_FAULTS = (*FAULTS, ("pause", 14), ("step_down", 18), ("one_way", 6), ("cut_off", 40))


class PairAtlas(Atlas):
    """The fault atlas, and what befalls two keepers."""

    faults = PAIR_FAULTS
    simulation: "StandbyRun"

    def _pause(self, _bank: int) -> None:
        """A keeper is stopped and goes on later, as if nothing had been."""
        rng = self.simulation.world.rng
        if pair := self.simulation.pair():
            rng.choice(pair).pause(rng.choice((rng.uniform(0.2, 4.0), rng.uniform(4.0, 9.0))))

    def _step_down(self, _bank: int) -> None:
        """The serving keeper is stopped cleanly, and may hear nothing any more before its process ends."""
        keeper, rng = self.simulation.serving(), self.simulation.world.rng
        if keeper is None:
            return
        keeper.step_down()
        if rng.random() < 0.5:
            for servers in self.simulation.banks.values():
                for server in servers:
                    self._later(0.1, self.simulation.network.block, server.port, "from", 5.0, keeper.name)

    def _cut_off(self, _bank: int) -> None:
        """The serving keeper loses one bank after the other, each until the end, and does not notice."""
        simulation, rng = self.simulation, self.simulation.world.rng
        keeper = simulation.serving()
        if keeper is None:
            return
        at, lasts_s = 0.0, rng.uniform(7.0, 14.0)
        direction = rng.choice((["to"], ["from"], ["to", "from"]))
        for bank in rng.sample(list(simulation.banks), rng.choice((2, 3, 3))):
            for server in simulation.banks[bank]:
                for way in direction:
                    block = simulation.network.block
                    self._later(at, block, server.port, way, max(lasts_s - at, 0.1), keeper.name)
            at += rng.choice((0.0, rng.uniform(0.0, 7.0)))

    def _one_way(self, _bank: int) -> None:
        """One of the two can't be heard, or hears nothing, on some banks' links."""
        simulation, rng = self.simulation, self.simulation.world.rng
        if not (pair := simulation.pair()):
            return
        name, direction = rng.choice(pair).name, rng.choice(("to", "from"))
        seconds = rng.uniform(1.0, 9.0)
        for bank in rng.sample(list(simulation.banks), rng.choice((1, 2, 2, 3))):
            for server in simulation.banks[bank]:
                simulation.network.block(server.port, direction, seconds, name)


class StandbyRun(Simulation):
    """Builds and runs a world with two keepers; faults are rarer, or nobody would ever wait a lease out."""

    faults_until_s = 20.0
    fault_every_s = 2.0

    def make_atlas(self) -> Atlas:
        """Return what strikes this run."""
        self._disks = {KEEPER: KeeperDisk(), STANDBY: KeeperDisk()}
        self._dead_until = dict.fromkeys(self._disks, 0.0)
        self._callers = [Caller(self.world, number, self._done) for number in range(CLIENTS)]
        return PairAtlas(self)

    # who there is

    def pair(self) -> list[PairKeeper]:
        """Return the keepers that live."""
        return [one for one in self.keepers if isinstance(one, PairKeeper) and one.is_alive]

    def serving(self) -> PairKeeper | None:
        """Return a keeper that serves, None if there is none."""
        return next((one for one in self.pair() if one.is_ready), None)

    @property
    def leading(self) -> str:
        """The name of the keeper that reigns."""
        return next((one.name for one in self.pair() if one.reigns), "")

    def register(self, standby: PairKeeper) -> None:
        """Let `standby` tell the other keeper that it is there."""
        for other in self.pair():
            if other.role != standby.role:
                other.register(standby.role)

    # their lives

    def start_keeper(self) -> None:
        """Start a keeper under a name that nobody holds, if there is one."""
        held = {one.role for one in self.pair()}
        free = [role for role in self._disks if role not in held]
        if free:
            self._start(free[0])

    def _start(self, role: str) -> None:
        self.keepers = [keeper for keeper in self.keepers if keeper.is_alive]
        self._keepers_made += 1
        name = f"keeper {self._keepers_made}"
        self.keepers.append(PairKeeper(self, role, name, self._disks[role], self.clock_rate()))

    def clock_rate(self) -> float:
        """Return how fast the next keeper's clock runs: at most as wrong as leases allow for."""
        rng = self.world.rng
        return rng.choice((1 - DRIFT, 1 + DRIFT, rng.uniform(1 - DRIFT, 1 + DRIFT)))

    def _supervise(self) -> None:
        rng, now = self.world.rng, self.world.now
        super()._supervise()
        held = {one.role for one in self.pair()}
        for role in self._disks:
            if role in held:
                self._dead_until[role] = now + rng.uniform(*AWAY_S)
            elif now >= self._dead_until[role] or self.is_calm:
                self._start(role)

    def _client(self, number: int) -> None:
        for keeper in self.pair():
            config = keeper.leader.reign.log.config if keeper.leader is not None else None
            if keeper.is_ready and config is not None and config.standby:
                self.oracle.on_read(keeper.leader.reign.log)
        super()._client(number)

    def _ask(self, client: int, keeper: SimKeeper, want: Change) -> None:
        self._callers[client].ask(keeper, want)

    # the end

    def _write_once_more(self) -> None:
        super()._write_once_more()
        serving = self.serving()
        assert serving is not None
        answered = [call for caller in self._callers for call in caller.answered]
        self.oracle.demand_once(serving.leader.reign.log.head_hash, answered)

    def leave_one_keeper(self) -> None:
        """All that is stopped goes on; both may stay."""
        for keeper in self.pair():
            keeper.paused_until = 0.0

    def the_keeper(self) -> SimKeeper | None:
        """Return the one that serves; the other one must be standing by."""
        pair, serving = self.pair(), self.serving()
        others = [one for one in pair if one is not serving]
        demand(serving is None or not any(one.reigns for one in others), "both keepers reign")
        return serving
