"""What a queue of requests, and a place where they are parked, promise; whoever keeps them.

Rule: first in, first out, also after a worker's death: what was taken and is not `done` comes again, first.
Rule: one worker at a time takes; others that ask to take wait until it is gone.
Rule: a request may come twice, never not at all: who works it off asks the transfer's row how it stands.
Rule: what can't be read goes to the dead letters and is told, and holds up nobody.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

#: Told a sentence for people.
Tell = Callable[[str], Awaitable[None]]
BODY_BYTES_MAX = 64 << 10


class Request(msgspec.Struct, frozen=True):
    """The wish that the body of file `id` (inode `ino`) be fetched for `user`; times are Unix time."""

    key: str
    id: str
    ino: int
    user: str
    name: str
    size: int
    since_s: float

    def encoded(self) -> bytes:
        """Return it as the body of a message: one JSON object."""
        return msgspec.json.encode(self)


def decode_request(body: bytes) -> Request:
    """Return the request in the body of a message; raises ValueError when there is none."""
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"{len(body):,} bytes are more than a request has")
    request = msgspec.json.decode(body, type=Request)
    if not request.key or request.size < 0:
        raise ValueError("a request has a key, and a size")
    return request


class RequestQueue(Protocol):
    """The queue of one upstream."""

    kind: str

    @property
    def trouble(self) -> str:
        """Why its server is not reached, "" when all is well."""

    async def push(self, request: Request) -> None:
        """Put a request at the end; returns when no crash can lose it. One that is in stays where it is."""

    async def take(self) -> Request:
        """Return the next request, when there is one and this is the worker whose turn it is."""

    async def done(self, key: str) -> None:
        """A request that was taken is worked off: it never comes again."""

    async def refuse(self, key: str, why: str) -> None:
        """A request that was taken can never be worked off: it goes to the dead letters, and is told."""

    async def close(self) -> None:
        """Let go; what was taken and is not done comes again, to the next worker."""


class Parking(Protocol):
    """Requests that wait until somebody goes on with them, each under its key."""

    kind: str

    @property
    def trouble(self) -> str:
        """See RequestQueue."""

    async def park(self, request: Request, until_s: float) -> None:
        """Keep a request until `until_s`; returns when no crash can lose it."""

    async def parked(self) -> list[Request]:
        """Return what is parked and not expired, the oldest request first."""

    async def unpark(self, key: str) -> None:
        """Forget a request, parked or not."""

    async def close(self) -> None:
        """Let go; what is parked stays."""
