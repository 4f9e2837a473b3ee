"""What every queue promises: the same tests on each kind, against a real broker."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest

import queue_making
from message_servers import Server
from queue_bench import SOON_S, Bench, keys, until
from queue_making import store_at, wish
from trivet.errors import ConfigError
from trivet.io.queues import amqp_queue
from trivet.io.queues.amqp_link import check_amqp
from trivet.io.queues.request_queue import RequestQueue

pytestmark = pytest.mark.timeout(240)  # a broker that was not started for long takes its time


@pytest.fixture(params=["embedded", "rabbitmq"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    server = request.getfixturevalue("rabbit") if request.param == "rabbitmq" else None
    made = Bench(request.param, tmp_path, server)
    yield made
    await made.close()


async def took(queue: RequestQueue, count: int) -> list[str]:
    """Return the keys of the next `count` requests."""
    async with asyncio.timeout(SOON_S):
        return [(await queue.take()).key for _ in range(count)]


async def nothing_more(queue: RequestQueue) -> bool:
    """Tell whether nothing comes for a while."""
    try:
        async with asyncio.timeout(0.5):
            await queue.take()
    except TimeoutError:
        return True
    return False


async def test_first_in_first_out_and_what_is_pushed_twice_comes_once(bench: Bench) -> None:
    queue = await bench.queue()
    for number in (3, 1, 2, 1, 3):
        await queue.push(wish(number))
    assert await took(queue, 3) == keys(3, 1, 2)
    assert await nothing_more(queue)
    for key in keys(3, 1, 2):
        await queue.done(key)
    await queue.push(wish(1))
    assert await took(queue, 1) == keys(1), "it was done, and is asked for anew"


async def test_what_was_not_done_comes_again_in_its_old_place(bench: Bench) -> None:
    queue = await bench.queue()
    for number in range(5):
        await queue.push(wish(number))
    assert await took(queue, 5) == keys(0, 1, 2, 3, 4)
    await queue.done(wish(1).key)
    await bench.closed(queue)
    other = await bench.queue("b")
    assert await took(other, 4) == keys(0, 2, 3, 4)


async def test_one_worker_at_a_time_and_the_next_when_it_is_killed(bench: Bench) -> None:
    queue = await bench.queue()
    for number in range(6):
        await queue.push(wish(number))
    words = [queue_making.__file__, bench.kind, bench.url, bench.name, str(bench.place), "3"]
    worker = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    lines = [await worker.stdout.readline() for _ in range(3)]
    assert [line.decode().strip() for line in lines] == keys(0, 1, 2)
    assert await nothing_more(queue), "it is the other's turn"
    worker.kill()
    await worker.wait()
    assert await took(queue, 5) == keys(1, 2, 3, 4, 5)


async def test_what_can_not_be_read_is_put_aside_and_told(bench: Bench) -> None:
    queue = await bench.queue()
    await queue.push(wish(1))
    garbage = [b"\x00\xff", b'{"key": 1}', b"[" * 100_000, b'{"key": "k"}']
    if bench.kind == "embedded":
        store = await store_at(bench.place / f"{bench.name}.sqlite")
        for number, body in enumerate(garbage):
            await store.write("INSERT INTO requests (key, body) VALUES (?, ?)", f"bad-{number}", body)
    else:
        assert await took(queue, 1) == keys(1)
        async with await aio_pika.connect(bench.url) as link, link.channel() as channel:
            for body in garbage:
                await channel.default_exchange.publish(aio_pika.Message(body), bench.name)
    await queue.push(wish(2))
    await took(queue, 2 if bench.kind == "embedded" else 1)
    await queue.refuse(wish(2).key, "nobody knows it")
    dead = [*garbage, wish(2).encoded()]

    async def told() -> bool:
        return len(bench.told) == len(dead)

    await until(told)
    assert "nobody knows it" in bench.told[-1]
    assert await _dead(bench) == dead


async def _dead(bench: Bench) -> list[bytes]:
    if bench.kind == "embedded":
        store = await store_at(bench.place / f"{bench.name}.sqlite")
        return [body for (body,) in await store.rows("SELECT body FROM dead_requests ORDER BY rowid")]
    async with await aio_pika.connect(bench.url) as link, link.channel() as channel:
        found = []
        queue = await channel.declare_queue(f"{bench.name}.dead", durable=True)
        while (message := await queue.get(fail=False, timeout=60)) is not None:
            await message.ack()
            found.append(message.body)
        return found


async def test_a_killed_broker_loses_nothing_and_keeps_the_order(rabbit: Server, tmp_path: Path) -> None:
    bench = Bench("rabbitmq", tmp_path, rabbit)
    queue = await bench.queue()
    for number in range(4):
        await queue.push(wish(number))
    assert await took(queue, 2) == keys(0, 1)
    rabbit.kill()
    await queue.done(wish(0).key)
    await queue.push(wish(4))
    await asyncio.to_thread(rabbit.start)
    seen = await took(queue, 3)
    assert [key for key in seen if key not in keys(2, 3)] == keys(4)
    assert seen == keys(2, 3, 4)
    assert await nothing_more(queue)
    for number in (1, 2, 3, 4):
        await queue.done(wish(number).key)
    await bench.closed(queue)
    other = await bench.queue("b")
    assert await nothing_more(other)
    async with await aio_pika.connect(rabbit.url) as link, link.channel() as channel:
        await channel.queue_delete(bench.name)
    await bench.close()


async def test_a_broker_that_lost_its_queue_is_given_everything_again(
    rabbit: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amqp_queue, "_LOOK_S", 0.3)
    bench = Bench("rabbitmq", tmp_path, rabbit)
    queue = await bench.queue()
    for number in range(3):
        await queue.push(wish(number))

    async def sent() -> bool:
        store = await store_at(tmp_path / f"{bench.name}-a.sqlite")
        return await store.row("SELECT count(*) FROM requests WHERE sent = 1") == (3,)

    await until(sent)
    await bench.closed(queue)
    async with await aio_pika.connect(rabbit.url) as link, link.channel() as channel:
        await channel.queue_delete(bench.name)
    queue = await bench.queue()
    assert await took(queue, 3) == keys(0, 1, 2)
    async with await aio_pika.connect(rabbit.url) as link, link.channel() as channel:
        await channel.queue_delete(bench.name)  # while it is taken from

        async def is_there_again() -> bool:
            try:
                async with link.channel() as looking:
                    return (await looking.declare_queue(bench.name, passive=True)).name == bench.name
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return False

        await until(is_there_again)
    await queue.push(wish(3))
    assert await took(queue, 1) == keys(3)
    await bench.close()


async def test_a_wrong_broker_or_password_is_told_clearly(rabbit: Server) -> None:
    with pytest.raises(ConfigError, match="refuses this user or password") as raised:
        await check_amqp(rabbit.url.replace("guest:guest", "guest:hidden"))
    assert "hidden" not in str(raised.value), "no password is told"
    with pytest.raises(ConfigError, match="can't be used there"):
        await check_amqp("amqp://guest@127.0.0.1:1/")
    for url in ("", "http://x", "amqp://", "amqp://h:port", "rabbit"):
        with pytest.raises(ConfigError, match=r"an address|no address"):
            await check_amqp(url)
