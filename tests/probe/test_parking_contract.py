"""What every parking promises: the same tests on each kind, against a real Redis."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from message_servers import Server
from queue_bench import Bench, keys, until
from queue_making import wish
from trivet.errors import ConfigError
from trivet.io.queues.redis_parking import check_redis


@pytest.fixture(params=["embedded", "redis"])
async def lot(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    server = request.getfixturevalue("redis") if request.param == "redis" else None
    made = Bench(request.param, tmp_path, server)
    yield made
    await made.close()


async def test_a_parked_request_waits_under_its_key_until_it_expires(lot: Bench) -> None:
    parking, now_s = await lot.parking(), time.time()
    await parking.park(wish(2), now_s + 100)
    await parking.park(wish(1), now_s + 100)
    await parking.park(wish(3), now_s + 0.4)
    assert [one.key for one in await parking.parked()] == keys(1, 2, 3)
    await parking.unpark(wish(2).key)
    await parking.unpark("never there")

    async def expired() -> bool:
        return [one.key for one in await parking.parked()] == keys(1)

    await until(expired)
    await lot.closed(parking)
    assert await (await lot.parking("b" if lot.kind == "redis" else "a")).parked() == [wish(1)]


async def test_redis_killed_or_emptied_loses_and_doubles_nothing(redis: Server, tmp_path: Path) -> None:
    lot = Bench("redis", tmp_path, redis)
    parking = await lot.parking()
    async with Redis.from_url(redis.url) as client:
        for number in (1, 2):
            await parking.park(wish(number), time.time() + 100)
        redis.kill()
        await parking.park(wish(3), time.time() + 100)
        await parking.unpark(wish(1).key)
        assert [one.key for one in await parking.parked()] == keys(2, 3), "the drive goes on without it"
        assert "does not answer" in parking.trouble
        redis.start()

        async def there() -> list[bytes]:
            return sorted([name async for name in client.scan_iter(f"trivet:{lot.name}:*")])

        async def shared() -> bool:
            return await there() == [f"trivet:{lot.name}:{key}".encode() for key in keys(2, 3)]

        await until(shared)
        assert 0 < await client.ttl(f"trivet:{lot.name}:{wish(3).key}") <= 100
        await client.flushall()
        await client.set(f"trivet:{lot.name}:junk", b"\x00 no request")
        assert await parking.parked() == [wish(2), wish(3)]
        await until(shared)
        assert len(lot.told) == 1
        assert "junk" in lot.told[0]
    await lot.close()


async def test_a_wrong_redis_or_password_is_told_clearly(redis: Server) -> None:
    with pytest.raises(ConfigError, match="refuses this password") as raised:
        await check_redis(redis.url.replace("secret", "hidden"))
    assert "hidden" not in str(raised.value), "no password is told"
    with pytest.raises(ConfigError, match="can't be used there"):
        await check_redis("redis://127.0.0.1:1/0")
    for url in ("", "http://x", "redis://h:port"):
        with pytest.raises(ConfigError, match="an address"):
            await check_redis(url)
