"""Queues and parkings of every kind for tests; run as a program it is a worker that can be killed.

`python queue_making.py KIND URL NAME FOLDER COUNT` takes COUNT requests, works the first off, and waits.
"""

import asyncio
import sys
from pathlib import Path

from trivet.io.clock import wall_s
from trivet.io.queues.amqp_queue import AmqpQueue
from trivet.io.queues.embedded import EmbeddedParking, EmbeddedQueue, make_tables
from trivet.io.queues.redis_parking import RedisParking
from trivet.io.queues.request_queue import Request
from trivet.io.upstream_store import UpstreamStore

_STORES: dict[Path, UpstreamStore] = {}


class Told(list[str]):
    """What people were told."""

    async def tell(self, text: str) -> None:
        """Keep it."""
        self.append(text)


def wish(number: int) -> Request:
    """Return the request `number`."""
    return Request(f"key-{number:04d}", f"id-{number}", number, "ann", f"file {number}", 10, float(number))


async def store_at(path: Path) -> UpstreamStore:
    """Return the store at a path, opened; `close_stores` in the end."""
    if path not in _STORES:
        _STORES[path] = UpstreamStore(path)
        await make_tables(_STORES[path])
    return _STORES[path]


def close_stores() -> None:
    """Close every store that was opened here."""
    while _STORES:
        _STORES.popitem()[1].close()


async def make_queue(
    kind: str, url: str, name: str, place: Path, told: Told, worker: str = "a"
) -> EmbeddedQueue | AmqpQueue:
    """Return a queue that begins to work; embedded workers share a file, others have their own."""
    if kind == "embedded":
        return EmbeddedQueue(await store_at(place / f"{name}.sqlite"), place / f"{name}.lock", told.tell)
    queue = AmqpQueue(url, name, await store_at(place / f"{name}-{worker}.sqlite"), told.tell)
    queue.open()
    return queue


async def make_parking(
    kind: str, url: str, name: str, place: Path, told: Told, worker: str = "a"
) -> EmbeddedParking | RedisParking:
    """Return a parking, see `make_queue`."""
    if kind == "embedded":
        return EmbeddedParking(await store_at(place / f"{name}.sqlite"), wall_s)
    store = await store_at(place / f"{name}-{worker}.sqlite")
    parking = RedisParking(url, f"trivet:{name}:", store, wall_s, told.tell)
    parking.open()
    return parking


async def _work(kind: str, url: str, name: str, place: Path, count: int) -> None:
    queue = await make_queue(kind, url, name, place, Told(), "killed")
    for number in range(count):
        request = await queue.take()
        if number == 0:
            await queue.done(request.key)
        print(request.key, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5])))
