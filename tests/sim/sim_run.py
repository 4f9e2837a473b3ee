"""One run: three banks of two servers, keepers, clients, faults, and what must be true at the end."""

from collections.abc import Callable

from sim_blobs import ref_in
from sim_calls import Change
from sim_disk import VOLUME_KEY, KeeperDisk
from sim_faults import Atlas
from sim_keeper import SimKeeper
from sim_network import Network
from sim_oracle import Oracle, Violation, demand
from sim_server import SimServer
from sim_world import World
from trivet.wire.blobs import root_of, sub_hashes
from trivet.wire.records import bucket_of, row_is_valid

BASES = (7000, 8000, 9000)
KEYS = [key for number in range(5000) if bucket_of(key := b"i/%d" % number) % 85 == 0][:50]
FAULTS_FROM_S, FAULTS_UNTIL_S = 1.0, 16.0
HEAL_WITHIN_S = 60.0
CLIENTS = 3
THINK_S = 0.12
FAULT_EVERY_S = 1.0


class Simulation:
    """Builds and runs the world of `seed`; a broken promise raises Violation."""

    faults_until_s = FAULTS_UNTIL_S
    fault_every_s = FAULT_EVERY_S

    def __init__(self, seed: int, *, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed, tell=tell)
        self.network = Network(self.world)
        self.atlas = self.make_atlas()
        self.banks = {base: [SimServer(self.world, base + n, seat=n == 0) for n in (0, 1)] for base in BASES}
        self.oracle = Oracle(self.banks, self.atlas.impaired)
        self.keeper_disk = KeeperDisk()
        self.keepers: list[SimKeeper] = []
        self.outcomes: dict[str, int] = {}
        self._away: dict[int, float] = {}
        self._keepers_made = 0
        self.is_calm = False

    def make_atlas(self) -> Atlas:
        """Return what strikes this run."""
        return Atlas(self)

    # people

    @property
    def leading(self) -> str:
        """The name of the keeper that was started last and lives, "" if none does."""
        alive = [keeper.name for keeper in self.keepers if keeper.is_alive]
        return alive[-1] if alive else ""

    @property
    def next_name(self) -> str:
        """The name that the next keeper will have."""
        return f"keeper {self._keepers_made + 1}"

    def seats(self) -> list[SimServer]:
        """The servers that hold their banks' records now, none while no keeper knows."""
        loaded = [keeper for keeper in self.keepers if keeper.is_alive and keeper.is_loaded]
        config = loaded[-1].leader.reign.log.config if loaded else None
        if config is None:
            return []
        ports = {seat.port for seat in config.seats.values()}
        return [server for servers in self.banks.values() for server in servers if server.port in ports]

    def start_keeper(self) -> None:
        """Start one more keeper, whether or not another runs."""
        rng = self.world.rng
        self.keepers = [keeper for keeper in self.keepers if keeper.is_alive]
        self._keepers_made += 1
        self.keepers.append(
            SimKeeper(
                self.network,
                self.banks,
                self.oracle,
                self.keeper_disk,
                f"keeper {self._keepers_made}",
                rate=rng.uniform(0.97, 1.03),
                predecessor_is_dead=not self.keepers and rng.random() < 0.7,
                on_clean=self.atlas.on_clean,
            )
        )

    def kill_keeper(self, *, every: bool = False) -> None:
        """kill -9 of a keeper."""
        alive = [keeper for keeper in self.keepers if keeper.is_alive]
        for keeper in alive if every else alive[:1]:
            keeper.stop("is killed")

    def stay_away(self, bank: int, number: int, seconds: float) -> None:
        """Kill a server and let nobody start it for a while."""
        server = self.banks[bank][number]
        server.kill()
        self._away[server.port] = self.world.now + seconds

    def _supervise(self) -> None:
        rng, now = self.world.rng, self.world.now
        for servers in self.banks.values():
            for server in servers:
                due = now >= self._away.get(server.port, 0.0) or self.is_calm
                if not server.is_up and due and (self.is_calm or rng.random() < 0.3):
                    server.start()
        if not any(keeper.is_alive for keeper in self.keepers) and (self.is_calm or rng.random() < 0.3):
            self.start_keeper()
        self.world.after(0.2, self._supervise)

    def _client(self, number: int) -> None:
        rng = self.world.rng
        ready = [keeper for keeper in self.keepers if keeper.is_ready]
        if ready and not self.is_calm:
            keeper = rng.choice(ready)
            key = rng.choice(KEYS)
            if keeper.leader.reign.lease.holds(keeper.now()):
                self.oracle.on_read(keeper.leader.reign.log)
            value = None if rng.random() < 0.25 else rng.randbytes(6)
            self._ask(number, keeper, Change(key, value, blob=rng.random() < 0.2, sync=rng.random() < 0.25))
        self.world.after(rng.expovariate(1 / THINK_S), self._client, number)

    def _ask(self, _client: int, keeper: SimKeeper, want: Change) -> None:
        keeper.write(want.key, want.value, blob=want.blob, sync=want.sync, done=self._done)

    def _done(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def _strike(self) -> None:
        if not self.is_calm:
            self.atlas.strike()
            self.world.after(self.world.rng.expovariate(1 / self.fault_every_s), self._strike)

    # the run

    def run(self) -> None:
        """Run to the end: faults, calm, and the last look."""
        world = self.world
        for servers in self.banks.values():
            for server in servers:
                server.start()
        self.start_keeper()
        self._supervise()
        for number in range(CLIENTS):
            self._client(number)
        world.after(FAULTS_FROM_S, self._strike)
        try:
            world.run(self.faults_until_s)
            self._calm_down()
            self._await_health()
            self._write_once_more()
        except Violation as violation:
            world.trace(f"VIOLATION: {violation}")
            raise

    def _calm_down(self) -> None:
        self.world.trace("calm from here on")
        self.is_calm = True
        self.network.blocked.clear()
        self.network.delay_s.clear()
        self.leave_one_keeper()
        for servers in self.banks.values():
            for server in servers:
                server.crash_in, server.hung_until, server.fail_sync = None, 0.0, False

    def leave_one_keeper(self) -> None:
        """Stop all keepers but the last."""
        for keeper in [keeper for keeper in self.keepers if keeper.is_alive][:-1]:
            keeper.stop("is stopped")

    def the_keeper(self) -> SimKeeper | None:
        """Return the keeper that must be serving in the end, None if there is none."""
        (keeper,) = [keeper for keeper in self.keepers if keeper.is_alive] or [None]
        return keeper

    def _await_health(self) -> None:
        deadline = self.world.now + HEAL_WITHIN_S
        while True:
            self.world.run(self.world.now + 2.5)
            try:
                self._check_health()
            except Violation:
                if self.world.now > deadline:
                    raise
            else:
                return

    def _write_once_more(self) -> None:
        """A healthy volume takes changes."""
        told: list[str] = []
        keeper = self.the_keeper()
        assert keeper is not None
        keeper.write(KEYS[0], b"the end", blob=True, sync=True, done=told.append)
        self.world.run(self.world.now + 2.0)
        demand(told == ["durable"], f"the last change is {told}")
        self.world.trace("healthy")

    def _check_health(self) -> None:
        """All banks are voters, hold the same log and byte-identical records, and all blobs named."""
        keeper = self.the_keeper()
        demand(keeper is not None and keeper.is_ready, "no keeper serves")
        assert keeper is not None
        reign = keeper.leader.reign
        demand(reign.marks.durable == reign.log.head, "not everything is durable")
        demand(not self.atlas.impaired, f"not found clean: {list(self.atlas.impaired)}")
        config = reign.log.config
        assert config is not None
        state = self.oracle.state_at(reign.log.head_hash)
        for bank, servers in self.banks.items():
            server = next(server for server in servers if server.port == config.seats[bank].port)
            acceptor, disk = server.acceptor, server.disk
            demand(acceptor is not None and acceptor.meta.standing == "voter", f"{bank} does not vote")
            assert acceptor is not None
            demand(acceptor.chain.head_hash == reign.log.head_hash, f"{bank} holds another log")
            demand(disk.applied == reign.log.head, f"{bank} has not applied everything")
            rows = {
                key: (row.slot, row.value) for key, row in disk.rows.items() if row_is_valid(VOLUME_KEY, row)
            }
            demand(len(rows) == len(disk.rows) and rows == state, f"the records of {bank} are not right")
            for _, value in state.values():
                if ref := ref_in(value):
                    data = servers[0].disk.blobs.get(ref[0], b"")
                    demand(root_of(len(data), sub_hashes(data)) == ref[2], f"{bank} lacks blob {ref[0]}")
