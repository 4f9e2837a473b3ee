"""The network of a whole drive in virtual time: stands where `io/link.py` stands, between processes.

Rule: within one connection everything arrives in order, delayed, or not at all; a direction that is blocked
holds everything back until it opens, as TCP does; what was on its way when a connection broke may still
arrive, behind what is sent on the next one.
"""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trivet.io.link import Address, Body, LinkLost, NoAnswer, Reply
from trivet.io.reply_deadline import ReplyDeadline, never
from trivet.wire.bank_messages import decode_message, encode_message
from trivet.wire.frames import Frame
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import VolumeCall
from whole_loop import Process, WholeLoop, current

Serve = Callable[[BankMessage, Body], Any]


class Port:
    """What a process listens with; `serve` begins a conversation and returns (handle, left)."""

    def __init__(
        self, process: Process, serve: Callable[[], tuple[Serve, Callable[[], None]]], name: str
    ) -> None:
        self.process = process
        self.serve = serve
        self.name = name


class Network:
    """Who listens where, and which directions are blocked until when."""

    def __init__(self, loop: WholeLoop, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.ports: dict[str, Port] = {}
        self.blocked: dict[tuple[str, str], float] = {}
        self.delay_s: dict[str, float] = {}
        self.cuts_change = False

    def is_open(self, port: str, direction: str) -> bool:
        """Tell whether what is sent now passes."""
        return self.blocked.get((port, direction), 0.0) <= self.loop.time()

    def wait_s(self, port: str, direction: str) -> float:
        """Return how long it takes until something sent now arrives."""
        blocked_s = max(self.blocked.get((port, direction), 0.0) - self.loop.time(), 0.0)
        return blocked_s + self.delay_s.get(port, 0.0) + self.rng.expovariate(8000.0) + 0.00005

    def port_of(self, address: Address) -> str:
        """Return the name under which `address` (a port, or the path of a socket) is known here."""
        if not isinstance(address, Path):
            return str(address[1])
        return address.parent.name.removeprefix("server-") if address.name == "link.sock" else address.name


class SimLink:
    """The client's end of one connection; the same face as `trivet.io.link.Link`."""

    network: Network  # of the drive under test, set before it starts
    certificate_ends_s = None  # all on one machine

    def __init__(self, port: Port, on_event: Callable[[BankMessage], None]) -> None:
        self.lost = asyncio.Event()
        self.is_local = False
        self.port_name = port.name
        self._port = port
        process = current.get()
        assert process is not None
        self.owner = process
        self._on_event = on_event
        self._why = ""
        self._waiting: dict[int, Any] = {}
        self._next = 1
        self._free_at = {"to": 0.0, "from": 0.0}
        self._late = self.network.rng.random() < 0.5
        self._running: dict[asyncio.Future[Any], None] = {}  # a set's order is where they lie in memory
        self._handle: Serve | None = None
        self._left: Callable[[], None] | None = None

    @classmethod
    async def connect(
        cls,
        address: Address,
        volume_key: bytes,
        *,
        timeout_s: float,
        on_event: Callable[[BankMessage], None] = lambda message: None,
        tls: None = None,
    ) -> "SimLink":
        """Connect to whoever listens at `address`; raises LinkLost."""
        network = cls.network
        name = network.port_of(address)
        port = network.ports.get(name)
        if port is None or not port.process.is_alive:
            await asyncio.sleep(0.0002)
            raise LinkLost(f"no link to {address}") from ConnectionRefusedError(name)
        link = cls(port, on_event)
        greeted = asyncio.get_running_loop().create_future()
        link._pass("to", port.process, link._greet, greeted)
        try:
            async with asyncio.timeout(timeout_s):
                await greeted
        except TimeoutError as error:
            link.abort()
            raise LinkLost(f"no link to {address}: timeout") from error
        link.network.loop.create_task(link._watch())
        return link

    def _greet(self, greeted: asyncio.Future[None]) -> None:
        self._handle, self._left = self._port.serve()

        def welcome() -> None:
            if not greeted.done():
                greeted.set_result(None)

        self._pass("from", self.owner, welcome)

    def _pass(self, direction: str, into: Process, act: Callable[..., object], *arguments: object) -> None:
        """Let `act` happen in the process `into`, never before what went the same way earlier."""
        network = self.network
        now = network.loop.time()
        at = max(now + network.wait_s(self._port.name, direction), self._free_at[direction] + 1e-7)
        self._free_at[direction] = at
        network.loop.call_at(at, act, *arguments, context=into.context)

    async def _watch(self) -> None:
        """Notice that the other process is gone, as a reset connection tells."""
        while not self._why:
            await asyncio.sleep(0.05)
            open_both = all(self.network.is_open(self._port.name, way) for way in ("to", "from"))
            if not self._port.process.is_alive and open_both:
                self._give_up("the server closed it")

    # -- asking

    def send_request(self, message: BankMessage, body: Body, on_reply: Callable[..., None]) -> None:
        """Send a request now; `on_reply` gets its reply, nothing if none comes."""
        if not self._why:
            self._ask(message, body, on_reply)

    def start(self, message: BankMessage, body: Body = b"") -> asyncio.Future[Reply]:
        """Send a request now and return the future of its reply."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._why:
            future.set_exception(LinkLost(self._why))
        else:
            self._ask(message, body, future)
        return future

    async def request(
        self,
        message: BankMessage,
        body: Body = b"",
        *,
        timeout_s: float,
        is_needed: Callable[[], bool] = never,
    ) -> Reply:
        """Send a request and return its reply; raises LinkLost."""
        future = self.start(message, body)
        why = f"no answer to {type(message).__name__} within {timeout_s} s"
        deadline = ReplyDeadline(future, timeout_s, is_needed, NoAnswer(why))
        try:
            return await future
        finally:
            deadline.cancel()

    def _ask(self, message: BankMessage, body: Body, waiting: Any) -> None:
        number, self._next = self._next, self._next + 1
        self._waiting[number] = waiting
        kind, header = encode_message(message)
        self._pass("to", self._port.process, self._arrive, number, kind, header, bytes(body))

    def _arrive(self, number: int, kind: int, header: bytes, body: bytes) -> None:
        if (self._why and not self._late) or self._handle is None:
            return
        message = decode_message(Frame(kind, number, header, b""))
        result = self._handle(message, body)
        if self.network.cuts_change and isinstance(message, VolumeCall) and message.sequence:
            self.network.cuts_change = False
            self.owner.soon(self.abort)  # the change is done, and its client does not hear of it
        if isinstance(result, BankMessage | tuple):
            self._reply(number, result)
            return
        running = asyncio.ensure_future(result)
        self._running[running] = None
        running.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, done: asyncio.Future[Any]) -> None:
        self._running.pop(done, None)
        if not done.cancelled():
            self._reply(number, done.result())

    def _reply(self, number: int, result: Any) -> None:
        message, body = result if isinstance(result, tuple) else (result, b"")
        kind, header = encode_message(message)
        self._pass("from", self.owner, self._hear, number, kind, header, bytes(body))

    def _hear(self, number: int, kind: int, header: bytes, body: bytes) -> None:
        if self._why:
            return
        waiting = self._waiting.pop(number, None)
        message = decode_message(Frame(kind, number, header, b""))
        if isinstance(waiting, asyncio.Future):
            if not waiting.done():
                waiting.set_result((message, body))
        elif waiting is not None:
            waiting(message, body)

    # -- the end

    def abort(self) -> None:
        """Break the connection."""
        self._give_up("it was broken off")

    async def close(self, timeout_s: float = 5.0) -> None:
        """Close the connection."""
        self._give_up("the link was closed")

    def _give_up(self, why: str) -> None:
        if self._why:
            return
        self._why = why
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if isinstance(future, asyncio.Future) and not future.done():
                future.set_exception(LinkLost(why))
                future.exception()
        self.lost.set()
        self._pass("to", self._port.process, self._leave)

    def _leave(self) -> None:
        for running in list(self._running):
            running.cancel()
        if self._left is not None:
            self._left()
