"""Connections between keepers and servers: in order within one, delayed, cut, and blocked in one direction.

What was on its way when a keeper gave a connection up may still arrive: after what it sends on the next one.
"""

from collections import deque
from collections.abc import Callable

from sim_server import SimServer
from sim_world import World
from trivet.wire.journal_messages import BankMessage

TIMEOUT_S = 1.0
Answer = Callable[[BankMessage, bytes], None]


class Network:
    """Which directions are blocked now, as (keeper or "" for all, port, "to" or "from")."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.blocked: dict[tuple[str, int, str], float] = {}
        self.delay_s: dict[tuple[str, int], float] = {}

    def block(self, port: int, direction: str, seconds: float, keeper: str = "") -> None:
        """Let nothing pass in one direction for a while, from and to one keeper or all."""
        self.blocked[keeper, port, direction] = self.world.now + seconds
        who = keeper or "everybody"
        self.world.trace(f"network blocks {direction} {port} for {who} for {seconds:.2f} s")

    def slow(self, port: int, delay_s: float, seconds: float, keeper: str = "") -> None:
        """Delay everything by `delay_s` for a while."""
        self.delay_s[keeper, port] = delay_s
        self.world.after(seconds, self.delay_s.pop, (keeper, port), None)

    def is_open(self, keeper: str, port: int, direction: str) -> bool:
        """Tell whether what is sent now passes."""
        return all(self.blocked.get((who, port, direction), 0.0) <= self.world.now for who in ("", keeper))

    def wait(self, keeper: str, port: int, direction: str) -> float:
        """Return how long it takes until something sent now passes."""
        open_at = max(self.blocked.get((who, port, direction), 0.0) for who in ("", keeper))
        delay = self.delay_s.get(("", port), 0.0) + self.delay_s.get((keeper, port), 0.0)
        return max(open_at - self.world.now, 0.0) + delay + self.world.rng.expovariate(2000.0) + 0.0001


class Connection:
    """One connection of a keeper to a server; `lost` is called once when it is gone."""

    def __init__(
        self, network: Network, keeper: str, server: SimServer, lost: Callable[["Connection"], None]
    ) -> None:
        self.network = network
        self.keeper = keeper
        self.server = server
        self.is_open = True
        self._process = server.process
        self._lost = lost
        self._to: deque[tuple[BankMessage, bytes, Answer]] = deque()
        self._free_at = {"to": 0.0, "from": 0.0}
        self._asked: deque[tuple[float, list[bool]]] = deque()
        network.world.after(0.2, self._watch)

    def request(self, message: BankMessage, body: bytes, answer: Answer) -> None:
        """Send a request; `answer` is called with its reply if one comes before the connection is lost."""
        done = [False]
        self._asked.append((self.network.world.now, done))
        self._to.append((message, body, lambda reply, data: self._answered(done, answer, reply, data)))
        self._pass("to", self._arrive)

    def _pass(self, direction: str, act: Callable[..., None], *args: object) -> None:
        """Let `act` happen after a delay, never before what was sent earlier in that direction."""
        world = self.network.world
        at = max(
            world.now + self.network.wait(self.keeper, self.server.port, direction), self._free_at[direction]
        )
        self._free_at[direction] = at
        world.after(at - world.now, act, *args)

    def _arrive(self) -> None:
        message, body, answer = self._to.popleft()
        server = self.server
        if server.acceptor is None or server.process != self._process:
            if self.is_open:
                self._pass("from", self.close)
            return
        if self.network.world.now < server.hung_until:
            self._to.appendleft((message, body, answer))
            self._free_at["to"] = max(self._free_at["to"], server.hung_until)
            self.network.world.after(server.hung_until - self.network.world.now, self._arrive)
            return
        server.handle(message, body, lambda reply, data: self._pass("from", answer, reply, data))

    def _answered(self, done: list[bool], answer: Answer, reply: BankMessage, data: bytes) -> None:
        done[0] = True
        if self.is_open:
            answer(reply, data)

    def _watch(self) -> None:
        """Give the connection up when a request is not answered in time."""
        if not self.is_open:
            return
        asked = self._asked
        while asked and asked[0][1][0]:
            asked.popleft()
        gone = self.server.acceptor is None or self.server.process != self._process
        seen = all(self.network.is_open(self.keeper, self.server.port, way) for way in ("to", "from"))
        if (gone and seen) or (asked and self.network.world.now - asked[0][0] > TIMEOUT_S):
            self.close()
            return
        self.network.world.after(0.2, self._watch)

    def close(self) -> None:
        """Give the connection up; what is on its way to the server may still arrive, or not."""
        if self.is_open:
            self.is_open = False
            if self.network.world.rng.random() < 0.5:
                self._process = -1
            self._lost(self)
