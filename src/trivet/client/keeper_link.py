"""The client's connection to the keeper: made again when lost, each change done once or said to be unknown.

Rule: every call is repeated until its deadline, to whichever keeper leads; a change under the same sequence,
by which each keeper knows whether it was done. What nobody answered in time is OutcomeUnknown.
Rule: a handle is good for the `generation` of the session it was opened in.
"""

import asyncio
import os
from typing import TypeVar

import msgspec

from trivet import errors
from trivet.client.unflushed import Held
from trivet.errors import NoMajority, OutcomeUnknown, ProtocolError, TrivetError
from trivet.io.clock import steady_s
from trivet.io.link import Body, Link, LinkLost, Reply
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.call_types import Call
from trivet.wire.volume_messages import (
    CLIENT_BYTES,
    VolumeAnswer,
    VolumeCall,
    VolumeHello,
    VolumeRefusal,
    VolumeWelcome,
)

CALL_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 2.0
RETRY_S = 0.1
CALLS_AT_ONCE = 100
UNANSWERED_MAX = 512

Result = TypeVar("Result")
_encode = msgspec.msgpack.Encoder().encode


class StaleHandle(TrivetError):
    """The session that a handle was opened in is over."""


class KeeperLink:
    """One client of the keeper behind `folder`; `generation` counts its sessions."""

    def __init__(self, folder: VolumeFolder) -> None:
        self.generation = 0
        self.held = Held()
        self._reach = Reach(folder)
        self._client = os.urandom(CLIENT_BYTES)
        self._sequence = 0
        self._unanswered: dict[int, None] = {}
        self._was_answered = asyncio.Event()
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def close(self) -> None:
        """End the connection; the keeper lets go of what this client held."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def ask(self, call: Call, result: type[Result], *, timeout_s: float = CALL_TIMEOUT_S) -> Result:
        """Carry out `call` and return its result; raises what the volume raises, or OutcomeUnknown."""
        found, _data = await self.move(call, b"", timeout_s=timeout_s)
        return msgspec.msgpack.decode(found, type=result)

    async def move(
        self, call: Call, data: Body, *, generation: int | None = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> tuple[bytes, Body]:
        """Carry out `call`, which writes `data`; return (encoded result, what was read).

        Raises StaleHandle, before anything is sent, when the session is not that of `generation`.
        """
        deadline = steady_s() + timeout_s
        async with self._places:
            sequence = await self._next_sequence() if call.changes else 0
            try:
                reply, body = await self._send(sequence, _encode(call), data, generation, deadline)
            finally:
                if sequence:
                    del self._unanswered[sequence]
                    self._was_answered.set()
        if isinstance(reply, VolumeAnswer):
            return reply.result, body
        if isinstance(reply, VolumeRefusal):
            raise error_of(reply)
        raise ProtocolError(f"the keeper answers a call with {type(reply).__name__}")

    async def _next_sequence(self) -> int:
        """Return the number of the next change, once the oldest without an answer is not too far back."""
        while self._unanswered and self._sequence - next(iter(self._unanswered)) > UNANSWERED_MAX:
            self._was_answered.clear()
            await self._was_answered.wait()
        self._sequence += 1
        self._unanswered[self._sequence] = None
        return self._sequence

    async def _send(
        self, sequence: int, call: bytes, data: Body, generation: int | None, deadline: float
    ) -> Reply:
        is_sent = False
        while True:
            link = await self._connected(deadline, is_sent=sequence > 0 and is_sent)
            if generation not in (None, self.generation):
                raise StaleHandle("the keeper was started anew")
            message = VolumeCall(sequence, call, next(iter(self._unanswered)) if sequence else 0)
            is_sent = True
            try:
                return await link.request(message, data, timeout_s=max(deadline - steady_s(), 0.01))
            except LinkLost:
                self._drop(link)

    def _drop(self, link: Link) -> None:
        link.abort()
        if self._link is link:
            self._link = None

    async def _connected(self, deadline: float, *, is_sent: bool) -> Link:
        """Return the link, made anew if need be, until `deadline`."""
        while (link := self._link) is None or link.lost.is_set():
            async with self._connecting:
                if self._link is not None and not self._link.lost.is_set():
                    continue
                try:
                    self._link = await self._connect()
                    continue
                except LinkLost as error:
                    reason = str(error)
            if steady_s() + RETRY_S > deadline:
                if is_sent:
                    raise OutcomeUnknown(f"the keeper went away while something was changed ({reason})")
                raise NoMajority(f"the keeper does not answer: {reason}")
            await asyncio.sleep(RETRY_S)
        if steady_s() > deadline:
            if is_sent:
                raise OutcomeUnknown("the keeper did not say in time whether something was changed")
            raise NoMajority("the keeper does not answer in time")
        return link

    async def _connect(self) -> Link:
        link = await self._reach.keeper(timeout_s=CONNECT_TIMEOUT_S)
        try:
            welcome, _ = await link.request(VolumeHello(self._client), timeout_s=CONNECT_TIMEOUT_S)
        except LinkLost:
            await link.close()
            raise
        if not isinstance(welcome, VolumeWelcome):
            raise ProtocolError(f"the keeper welcomes a client with {type(welcome).__name__}")
        if not welcome.resumed:
            self.generation += 1
        return link


def error_of(refusal: VolumeRefusal) -> TrivetError:
    """Return the error that a refusal tells of."""
    kind = getattr(errors, refusal.error, TrivetError)
    if kind is errors.FileSystemError:
        return errors.FileSystemError(refusal.errno, refusal.message)
    if not (isinstance(kind, type) and issubclass(kind, TrivetError)):
        kind = TrivetError
    error: TrivetError = kind(refusal.message)
    return error
