"""The parking in Redis: each request under its key with its expiry, where every program can see it.

Rule: what is parked is in the own file, too: a Redis that is away, or comes back empty, loses nothing; what
it does not have is put there again.
Rule: what others have parked there under our prefix is ours to work off.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import redis.asyncio as redis_client
from redis import exceptions as redis_errors
from yarl import URL

from trivet.errors import ConfigError
from trivet.io.queues.embedded import EmbeddedParking
from trivet.io.queues.request_queue import Request, Tell, decode_request
from trivet.io.upstream_store import UpstreamStore

ANSWER_S = 5.0
_LOOK_S = 3.0
_AT_ONCE = 500
TROUBLE = (redis_errors.RedisError, OSError, TimeoutError)

log = logging.getLogger(__name__)


def _client(url: str) -> Any:
    return redis_client.Redis.from_url(url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S)


def _shown(url: str) -> str:
    return str(URL(url).with_password(None))


async def check_redis(url: str) -> None:
    """Raise ConfigError, which says what to do, unless Redis answers at `url` and lets us in."""
    try:
        shown = _shown(url)
        client = _client(url)
    except ValueError:
        raise ConfigError("--redis: an address such as redis://:PASSWORD@HOST:6379/0") from None
    try:
        await client.ping()
    except redis_errors.AuthenticationError:
        raise ConfigError(f"--redis {shown}: Redis refuses this password; give the right one") from None
    except TROUBLE as error:
        raise ConfigError(
            f"--redis {shown}: Redis can't be used there ({str(error) or 'no answer'}); start it, correct "
            "the address, or leave --redis away: the drive then keeps what is parked itself"
        ) from None
    finally:
        await client.aclose()


class RedisParking:
    """Parks below `prefix` in the Redis at `url`, and in `store`, which has `make_tables`."""

    kind = "redis"

    def __init__(
        self, url: str, prefix: str, store: UpstreamStore, now_s: Callable[[], float], tell: Tell
    ) -> None:
        self.trouble = "Redis has not answered yet"
        self._shown = _shown(url)
        self._prefix = prefix
        self._store = store
        self._now_s = now_s
        self._tell = tell
        self._own = EmbeddedParking(store, now_s)
        self._client = _client(url)
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to share what is parked."""
        self._running = asyncio.create_task(self._share_all())

    async def park(self, request: Request, until_s: float) -> None:
        """See Parking."""
        await self._own.park(request, until_s)
        await self._share_now()

    async def parked(self) -> list[Request]:
        """See Parking."""
        own = {one.key: one for one in await self._own.parked()}
        rows = await self._store.rows("SELECT key FROM parked WHERE gone = 1")
        gone = {key for (key,) in rows}
        shared = await self._shared()
        found = {key: one for key, one in shared.items() if key not in gone} | own
        return sorted(found.values(), key=lambda one: (one.since_s, one.key))

    async def unpark(self, key: str) -> None:
        """See Parking; while Redis is away it is remembered, and taken away there when it comes."""
        await self._store.write(
            "INSERT INTO parked VALUES (?, x'', 0, ?, 0, 1) ON CONFLICT (key) DO UPDATE SET gone = 1",
            *(key, self._now_s() + 7 * 86_400),
        )
        await self._share_now()

    async def close(self) -> None:
        """See Parking."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._client.aclose()

    async def _share_now(self) -> None:
        """Tell Redis at once if it is there."""
        if self.trouble:
            self._changed.set()
        else:
            await self._shared_or_noted()

    async def _share_all(self) -> None:
        """Share again and again: what Redis has lost or missed is there soon."""
        while True:
            self._changed.clear()
            await self._shared_or_noted()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()

    async def _shared_or_noted(self) -> None:
        try:
            await self._share()
            self.trouble = ""
        except TROUBLE as error:
            trouble = f"Redis at {self._shown} does not answer: {str(error) or 'no answer'}"
            if trouble != self.trouble:
                log.warning("%s", trouble)
            self.trouble = trouble

    async def _share(self) -> None:
        """Let Redis have what is parked, and not what is no more."""
        now_s = self._now_s()
        gone = [key for (key,) in await self._store.rows("SELECT key FROM parked WHERE gone = 1")]
        rows = await self._store.rows(
            "SELECT key, body, until_s FROM parked WHERE gone = 0 AND until_s > ?", now_s
        )
        async with self._client.pipeline(transaction=False) as several:
            several.ping()
            for key in gone:
                several.delete(self._prefix + key)
            for key, body, until_s in rows:
                several.set(self._prefix + key, body, px=max(1, int((until_s - now_s) * 1000)))
            await several.execute()
        for key in gone:
            await self._store.write("DELETE FROM parked WHERE key = ? AND gone = 1", key)

    async def _shared(self) -> dict[str, Request]:
        """Return what Redis has below the prefix; nothing while it is away."""
        found: dict[str, Request] = {}
        try:
            async for name in self._client.scan_iter(match=f"{self._prefix}*", count=_AT_ONCE):
                body = await self._client.get(name)
                if body is None:
                    continue
                try:
                    request = decode_request(body)
                except ValueError as error:
                    await self._put_aside(name, f"it can't be read: {error}")
                    continue
                found[request.key] = request
        except TROUBLE as error:
            self.trouble = f"Redis at {self._shown} does not answer: {str(error) or 'no answer'}"
            return {}
        return found

    async def _put_aside(self, name: bytes, why: str) -> None:
        """Rename what is no request, so that it is met once; it expires as it would have."""
        dead = b"dead:" + name
        await self._client.rename(name, dead)
        await self._tell(f"what was parked in Redis as {name.decode(errors='replace')} was put aside: {why}")
