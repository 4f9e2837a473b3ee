"""One kind of queue or parking under test: its ends, its server, and waiting for what must come."""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import queue_making
from message_servers import Server
from queue_making import Told, make_parking, make_queue, wish
from trivet.io.queues.request_queue import Parking, RequestQueue

SOON_S = 60.0


@dataclass
class Bench:
    """One kind of queue or parking, and the server behind it, if any."""

    kind: str
    place: Path
    server: Server | None
    told: Told = field(default_factory=Told)
    name: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")
    _open: list[RequestQueue | Parking] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.server.url if self.server else ""

    async def queue(self, worker: str = "a") -> RequestQueue:
        """Return a worker's end of the queue."""
        made = await make_queue(self.kind, self.url, self.name, self.place, self.told, worker)
        self._open.append(made)
        return made

    async def parking(self, worker: str = "a") -> Parking:
        """Return a worker's view of the parking."""
        made = await make_parking(self.kind, self.url, self.name, self.place, self.told, worker)
        self._open.append(made)
        return made

    async def closed(self, one: RequestQueue | Parking) -> None:
        """Close one of them now."""
        self._open.remove(one)
        await one.close()

    async def close(self) -> None:
        """Close everything."""
        for one in self._open:
            await one.close()
        queue_making.close_stores()


async def until(is_so: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Wait until something is so."""
    until_s = time.monotonic() + SOON_S
    while not await is_so():
        assert time.monotonic() < until_s, "it never came to be"
        await asyncio.sleep(0.05)


def keys(*numbers: int) -> list[str]:
    """Return the keys of requests."""
    return [wish(number).key for number in numbers]
