"""One of a volume's two keepers in a run: it stands by, takes over, reigns, steps down, is paused."""

from typing import TYPE_CHECKING

from sim_blobs import Ref
from sim_calls import Asked
from sim_disk import VOLUME_KEY, KeeperDisk
from sim_keeper import TICK_S, SimKeeper
from trivet.quorum import leader_commands as lc
from trivet.quorum.once import answer_of, with_applied
from trivet.quorum.standby import Standby
from trivet.wire import journal_messages as m
from trivet.wire.entries import RecordOp

if TYPE_CHECKING:
    from standby_run import StandbyRun

REGISTER_EVERY_S = 0.5
STEP_DOWN_WITHIN_S = 4.0


class PairKeeper(SimKeeper):
    """A keeper process under `role`, a name that only one living process holds at a time.

    It compares the banks often, so that one that was followed and has not heard of it does so, too.
    """

    refresh_s = 0.7

    def __init__(self, simulation: "StandbyRun", role: str, name: str, disk: KeeperDisk, rate: float) -> None:
        self.role = role
        self.simulation = simulation
        self.standby: Standby | None = Standby(VOLUME_KEY, list(simulation.banks), role)
        self.paused_until = 0.0
        self._register_at = 0.0
        super().__init__(
            simulation.network, simulation.banks, simulation.oracle, disk, name,
            rate=rate, predecessor_is_dead=True, on_clean=simulation.atlas.on_clean,
        )  # fmt: skip
        self.world.trace(f"{name} is the {role}, its clock runs at {rate:.2f}")

    @property
    def is_ready(self) -> bool:
        """Clients may come."""
        awake = self.world.now >= self.paused_until
        return awake and self.leader is not None and super().is_ready and self.may_answer()

    def may_answer(self) -> bool:
        """Reads are answered."""
        return self.leader is not None and self.leader.succession.may_answer(self.now())

    @property
    def reigns(self) -> bool:
        """This is the keeper, and not the one that stands by."""
        return self.is_alive and self.standby is None

    # standing by

    def begin(self) -> None:
        """Stand by first, whoever this is."""
        if not self.is_alive:
            return
        if self.is_paused(self.begin):
            return
        if self.standby is None:
            return
        self.links.watch()
        now = self.now()
        self._send_all(self.standby.on_tick(now))
        if self.standby.turn(now) == "reign":
            self._take_over(self.standby, now)
            return
        if now >= self._register_at:
            self._register_at = now + REGISTER_EVERY_S
            self.simulation.register(self)
        self.world.after(TICK_S, self.begin)

    def _take_over(self, standby: Standby, now: float) -> None:
        self.world.trace(f"{self.name} takes its turn, from slot {standby.slot} on")
        self.standby = None
        self.links.seen += standby.seen()
        self.disk.high_water = max(self.disk.high_water, standby.slot)
        fresh = not self.disk.served and standby.config is None
        self.lead(fresh=fresh, name=self.role, silent=standby.silence(now))

    def _send_all(self, sends: list[lc.Send]) -> None:
        for send in sends:

            def answer(reply: m.BankMessage, data: bytes, send: lc.Send = send) -> None:
                if self.standby is not None:
                    self._send_all(self.standby.on_reply(send, reply, self.now(), data))

            self.links.ask(send.bank, send.message, send.body, answer)

    def connected(self, bank: int) -> None:
        """Go on with a connection to the acceptor of `bank`."""
        if self.standby is not None:
            self._send_all(self.standby.on_connected(bank, self.now()))
        else:
            super().connected(bank)

    def lost(self, bank: int) -> None:
        """Take in that the connection to the acceptor of `bank` is gone."""
        if self.standby is not None:
            self.standby.on_lost(bank)
        else:
            super().lost(bank)

    def register(self, role: str) -> None:
        """Let the keeper called `role` take over from now on."""
        if self.is_ready:
            self.do(self.leader.succession.register(role, self.now()))

    # calls that are asked for again

    def _beside(self, asked: Asked) -> list[RecordOp]:
        if asked.call is None:
            return []
        key = asked.call.key
        _, record = self.records.get(key, (0, None))
        return [RecordOp(key, self.index.slot_of(key), with_applied(asked.call, record))]

    def _commit(
        self, key: bytes, value: bytes | None, new: list[Ref], missing: set[int], asked: Asked
    ) -> None:
        """Do what was asked, unless it was done before: then wait until that is as safe as is wanted."""
        slot, record = self.records.get(asked.call.key, (0, None)) if asked.call is not None else (0, None)
        if not self.is_ready or asked.call is None or answer_of(asked.call, record) is None:
            super()._commit(key, value, new, missing, asked)
            return
        self._waits.setdefault(slot, []).append(asked)
        self._resolve(self._told_acked, durable=False)
        self._resolve(self._told_durable, durable=True)

    # stops

    def step_down(self) -> None:
        """Stop cleanly."""
        if not self.is_ready:
            self.stop("is stopped")
            return
        self.world.trace(f"{self.name} steps down")
        self.do(self.leader.succession.step_down(self.now()))
        self.world.after(self.world.rng.uniform(0.5, STEP_DOWN_WITHIN_S), self.stop, "has stepped down")

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later; whoever has paused it last says when."""
        self.paused_until = self.world.now + seconds
        self.world.trace(f"{self.name} is paused for {seconds:.2f} s")
        for servers in self.simulation.banks.values():
            for server in servers:
                for direction in ("to", "from"):
                    self.network.block(server.port, direction, seconds, self.name)

    def is_paused(self, then: "object") -> bool:
        """Tell whether nothing happens now; `then` happens once it goes on, which may be any moment."""
        wait = self.paused_until - self.world.now
        if wait > 0:
            assert callable(then)
            self.world.after(min(wait, TICK_S), then)
        return wait > 0

    def tick(self) -> None:
        """Let a moment pass, unless this process is stopped."""
        if not (self.is_alive and self.is_paused(self.tick)):
            super().tick()
