"""The volume door: serves the volume to other processes, over a unix socket, to other hosts by TLS.

Rule: who connects must hold the volume key, as on the links to the banks; what breaks the protocol loses the
connection, with one log line.
Rule: who has not proved within WELCOME_TIMEOUT_S who it is loses its place: strangers may reach the port.
Rule: a client that went away may come back for GRACE_S; then all that it held is let go.
Rule: a change that was carried out is not carried out again, by another keeper neither (`asked_calls.py`).
Rule: before a change is answered, a kernel that caches the volume has forgotten what it changes.
"""

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from trivet.errors import ConfigError, NoMajority, ProtocolError, TrivetError
from trivet.io.clock import steady_s
from trivet.io.link import Body, HandlerResult, Peer, Reply, serve_link
from trivet.io.tls import public_socket, tls_options
from trivet.io.unix_socket import bound_socket
from trivet.keeper.asked_calls import CALL
from trivet.keeper.blob_service import BlobService
from trivet.keeper.journal import Journal
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.owned_task import own_task
from trivet.keeper.repair_queue import RepairQueue
from trivet.keeper.volume_calls import ClientCalls
from trivet.keeper.volume_effects import effects_afterwards, effects_of
from trivet.keeper.volume_session import VolumeSession
from trivet.quorum.once import Call
from trivet.volume.calls import AnyCall, decode_call
from trivet.volume.interface import KernelCache
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import (
    CLIENT_BYTES,
    VolumeAnswer,
    VolumeCall,
    VolumeHello,
    VolumeRefusal,
    VolumeWelcome,
)

log = logging.getLogger(__name__)

GRACE_S = 5.0
WELCOME_TIMEOUT_S = 10.0
FORGET_EVERY_S = 10.0
HOLD_S, HOLD_LOOK_S = 2.0, 0.02
UNANSWERED_MAX = 1024
CONNECTIONS_MAX = 256
_READ_LIMIT_BYTES = 4 << 20
#: Answers who is no client; None: it does not know the message.
Aside = Callable[[BankMessage, Peer], HandlerResult | Coroutine[Any, Any, Reply] | None]
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class FarDoor:
    """Where clients on other hosts find the door: `port` of every address, by `tls` alone."""

    port: int
    tls: ssl.SSLContext

    def listen(self) -> socket.socket:
        """Return the listening socket; ConfigError if the port is taken."""
        try:
            return public_socket(self.port)
        except OSError as error:
            raise ConfigError(f"the keeper's port {self.port} can't be used: {error.strerror}") from error


class OutsideBlobs:
    """Passes on what clients say of blobs."""

    def __init__(self, journal: Journal, queue: RepairQueue, blobs: BlobService) -> None:
        self.blob_stored = journal.blob_stored
        self.blob_came = journal.blob_came
        self._queue = queue
        self._blobs = blobs
        self._banks = {bank[0].base: bank[0].bank for bank in queue.fleet.banks}
        self.bases: Collection[int] = self._banks.keys()

    def blob_missing(self, name: int, base: int) -> None:
        """Have a bank's copy looked at."""
        if base in self._banks:
            self._queue.bad_blob(name, self._blobs.home_of(name, self._banks[base]))


class VolumeDoor:
    """All clients of the volume; `cache` is the kernel's, None where nothing is mounted.

    `may_answer` says whether this keeper holds the lease where it needs one; `aside` answers what others than
    clients say, None to what is not for it.
    """

    def __init__(
        self, volume: LocalVolume, epoch: int, key: bytes, blobs: OutsideBlobs, cache: KernelCache | None,
        may_answer: Callable[[], bool] = lambda: True,
        aside: Aside = lambda message, peer: None,
    ) -> None:  # fmt: skip
        self._volume = volume
        self._epoch = epoch
        self._key = key
        self._blobs = blobs
        self._cache = cache
        self._may_answer = may_answer
        self.aside = aside
        self._sessions: dict[bytes, VolumeSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        if len(self._tasks) >= CONNECTIONS_MAX:
            log.warning("a client was turned away: %s are connected", len(self._tasks))
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = _Connection(self)
        try:
            async with asyncio.timeout(WELCOME_TIMEOUT_S) as deadline:
                connection.on_welcome = functools.partial(deadline.reschedule, None)
                await serve_link(reader, writer, self._key, connection.handle)
        except TimeoutError:
            log.warning("closed a connection: it did not prove within %s s who it is", WELCOME_TIMEOUT_S)
        except asyncio.CancelledError:  # the door closes; nobody waits for this task
            writer.close()
        finally:
            self._tasks.discard(task)
            connection.left()

    async def close(self) -> None:
        """End all connections and what their clients held."""
        connected = list(self._tasks)
        for task in connected:
            task.cancel()
        await asyncio.gather(*connected, return_exceptions=True)
        await asyncio.gather(*(session.end() for session in self._sessions.values()))
        self._sessions.clear()

    def welcome(self, client: bytes) -> tuple[VolumeSession, VolumeWelcome]:
        """Return the session of a client that says hello, a new one if it holds nothing."""
        if len(client) != CLIENT_BYTES:
            raise ProtocolError("a client's name has the wrong length")
        session = self._sessions.get(client)
        resumed = session is not None
        if session is None:
            session = self._sessions[client] = VolumeSession(self._volume)
        session.connections += 1
        return session, VolumeWelcome(self._epoch, resumed)

    def calls_of(self, session: VolumeSession) -> ClientCalls:
        """Return what carries out the calls of a client."""
        return ClientCalls(self._volume, session, self._blobs)

    def left(self, client: bytes, session: VolumeSession) -> None:
        """Note that a connection of a client ended; the last one ends the session after GRACE_S."""
        session.connections -= 1
        if not session.connections:
            task = asyncio.create_task(self._end_later(client, session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _end_later(self, client: bytes, session: VolumeSession) -> None:
        await asyncio.sleep(GRACE_S)
        await session.settled()  # who comes back meanwhile must find what is under way
        if not session.connections and self._sessions.get(client) is session:
            del self._sessions[client]
            await session.end()

    async def forget_clients(self) -> None:
        """Let go now and then of what was kept for clients that do not come back."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            self._volume.forget_clients(self._sessions, steady_s())

    async def change(self, asked: Call, calls: ClientCalls, call: AnyCall, data: Body) -> Reply:
        """Carry out the change `call`, unless it was before; runs in a task of its own."""
        before = self._volume.answer_of(asked)
        if before is None:
            CALL.set(asked)
            return await self.answer(calls, call, data)
        try:
            return VolumeAnswer(_encode(await calls.repeat(call, before))), b""
        except TrivetError as error:
            return _refusal(error)

    async def outcome(self, change: asyncio.Task[Reply]) -> Reply:
        """Wait for a change, which goes on also when nobody waits any more.

        Who has no lease any more holds the answer back for a while: if another keeper leads, this one ends,
        and the client hears from that one what became of the change.
        """
        reply = await asyncio.shield(change)
        until = steady_s() + HOLD_S
        while not self._may_answer() and steady_s() < until:  # noqa: ASYNC110 - a lease has no event
            await asyncio.sleep(HOLD_LOOK_S)
        return reply

    async def answer(self, calls: ClientCalls, call: AnyCall, data: Body) -> Reply:
        """Carry out a call; what goes wrong is told as a refusal."""
        try:
            effects = effects_of(call, self._volume.space)
            result, read = await calls.do(call, data)
            effects = effects_afterwards(call, self._volume.space, effects)
            if self._cache is not None and (effects.inodes or effects.names):
                await self._cache.forget(effects.inodes, effects.names)
            if not self._may_answer():
                raise NoMajority("the lease has run out: another keeper may lead by now")
        except TrivetError as error:
            return _refusal(error)
        return VolumeAnswer(_encode(result)), read


def _refusal(error: TrivetError) -> Reply:
    return VolumeRefusal(type(error).__name__, error.errno, str(error)), b""


class _Connection:
    """One connection: who it is, and what it asks for."""

    def __init__(self, door: VolumeDoor) -> None:
        self._door = door
        self._client = b""
        self._session: VolumeSession | None = None
        self._calls: ClientCalls | None = None
        self.on_welcome: Callable[[], None] = lambda: None

    def handle(
        self, message: BankMessage, data: Body, peer: Peer
    ) -> HandlerResult | Coroutine[Any, Any, Reply]:
        """Answer one request of the link."""
        if isinstance(message, VolumeHello) and self._session is None:
            self._client = message.client
            self._session, welcome = self._door.welcome(message.client)
            self._calls = self._door.calls_of(self._session)
            self.on_welcome()
            return welcome
        if self._session is None and (answer := self._door.aside(message, peer)) is not None:
            self.on_welcome()
            return answer
        if not isinstance(message, VolumeCall) or self._session is None or self._calls is None:
            raise ProtocolError(f"{type(message).__name__} is not what a client says here")
        call = decode_call(message.call)
        if not call.changes:
            return self._door.answer(self._calls, call, data)
        if message.sequence < 1:
            raise ProtocolError("a change without a sequence")
        if not 0 <= message.sequence - message.answered <= UNANSWERED_MAX:
            raise ProtocolError("too many changes wait for their answers")
        asked = Call(self._client, message.sequence, message.answered)
        change = functools.partial(self._door.change, asked, self._calls, call, data)
        return self._door.outcome(self._session.once(asked, change))

    def left(self) -> None:
        """The connection ended."""
        if self._session is not None:
            self._door.left(self._client, self._session)


@asynccontextmanager
async def open_door(door: VolumeDoor, path: Path, far: FarDoor | None = None) -> AsyncIterator[None]:
    """Serve `door` on the unix socket `path`, and to other hosts on `far`, while the block runs.

    The keeper's lock keeps others off the path.
    """
    _remove(path)
    listening = bound_socket(path)
    servers = [await asyncio.start_unix_server(door.connected, sock=listening, limit=_READ_LIMIT_BYTES)]
    forgetting = own_task(door.forget_clients())
    try:
        if far is not None:
            servers.append(
                await asyncio.start_server(
                    door.connected, sock=far.listen(), limit=_READ_LIMIT_BYTES, **tls_options(far.tls)
                )
            )
        yield
    finally:
        forgetting.cancel()
        for server in servers:
            server.close()
        _remove(path)
        await door.close()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
