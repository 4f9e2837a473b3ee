"""The queue and the parking in the upstream's own file: what a drive has without any server.

Rule: the worker is who holds the lock beside the file; the kernel lets go of it when a process is killed.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from trivet.io.queues.request_queue import Request, Tell, decode_request
from trivet.io.upstream_store import UpstreamStore

_LOOK_S, _TURN_S = 20.0, 0.2
_TABLES = (
    "CREATE TABLE IF NOT EXISTS requests (seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE NOT NULL, "
    "body BLOB NOT NULL, sent INTEGER NOT NULL DEFAULT 0) STRICT",
    "CREATE TABLE IF NOT EXISTS dead_requests (body BLOB NOT NULL, why TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS parked (key TEXT PRIMARY KEY, body BLOB NOT NULL, since_s REAL NOT NULL, "
    "until_s REAL NOT NULL, shared INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0) STRICT",
)


async def make_tables(store: UpstreamStore) -> None:
    """Make the tables of queue and parking where they are missing."""
    for statement in _TABLES:
        await store.write(statement)


class EmbeddedQueue:
    """The queue in `store`, which has `make_tables`; `lock_path` names the file that the worker locks."""

    kind = "embedded"
    trouble = ""

    def __init__(self, store: UpstreamStore, lock_path: Path, tell: Tell) -> None:
        self._store = store
        self._tell = tell
        self._lock = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._is_mine = False
        self._pushed = asyncio.Event()
        self._last = 0

    async def push(self, request: Request) -> None:
        """See RequestQueue."""
        await self._store.write(
            "INSERT INTO requests (key, body) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
            *(request.key, request.encoded()),
        )
        self._pushed.set()

    async def take(self) -> Request:
        """See RequestQueue; what other processes push is found within 20 s."""
        await self._my_turn()
        while True:
            self._pushed.clear()
            row = await self._store.row(
                "SELECT seq, key, body FROM requests WHERE seq > ? ORDER BY seq LIMIT 1", self._last
            )
            if row is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await self._pushed.wait()
                continue
            self._last, key, body = row
            try:
                return decode_request(body)
            except ValueError as error:
                await self.refuse(key, f"it can't be read: {error}")

    async def done(self, key: str) -> None:
        """See RequestQueue."""
        await self._store.write("DELETE FROM requests WHERE key = ?", key)

    async def refuse(self, key: str, why: str) -> None:
        """See RequestQueue; dead letters are rows of the table dead_requests."""
        await self._store.write(
            "INSERT INTO dead_requests SELECT body, ? FROM requests WHERE key = ?", why, key
        )
        await self.done(key)
        await self._tell(f"a request in the queue was put aside: {why}")

    async def close(self) -> None:
        """See RequestQueue."""
        os.close(self._lock)

    async def _my_turn(self) -> None:
        while not self._is_mine:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(_TURN_S)
            else:
                self._is_mine = True


class EmbeddedParking:
    """The parking in `store`, which has `make_tables`; `now_s` is Unix time."""

    kind = "embedded"
    trouble = ""

    def __init__(self, store: UpstreamStore, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s

    async def park(self, request: Request, until_s: float) -> None:
        """See Parking."""
        await self._store.write(
            "INSERT OR REPLACE INTO parked (key, body, since_s, until_s) VALUES (?, ?, ?, ?)",
            *(request.key, request.encoded(), request.since_s, until_s),
        )

    async def parked(self) -> list[Request]:
        """See Parking."""
        now_s = self._now_s()
        await self._store.write("DELETE FROM parked WHERE until_s <= ?", now_s)
        rows = await self._store.rows("SELECT body FROM parked WHERE gone = 0 ORDER BY since_s, key")
        return [decode_request(body) for (body,) in rows]

    async def unpark(self, key: str) -> None:
        """See Parking."""
        await self._store.write("DELETE FROM parked WHERE key = ?", key)

    async def close(self) -> None:
        """See Parking."""
