"""The upstream's process over real servers: killed, and the servers killed, in the middle of transfers.

Rule: the banks and their keeper live on this loop: whatever takes its time is done in a thread.
"""

import asyncio
import os
import random
from pathlib import Path

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractConnection, AbstractQueue
from redis.asyncio import Redis

from message_servers import Server
from small_drive import SmallDrive, small_drive
from trivet.io.queues.change_exchange import EXCHANGE
from trivet.io.queues.servers import Servers
from trivet.upstream.account import Account, keep_account
from trivet.volume.interface import ROOT_INO
from upstream_process import (
    ME,
    all_done,
    bring,
    door,
    ended,
    read,
    start_upstream,
    status,
    until,
    until_listed,
    write,
)
from vendor_server import Vendor, serving

ROUNDS = int(os.environ.get("TRIVET_SERVER_ROUNDS", "1"))
EACH, SIZE = 12, 100_000
FILES = EACH * ROUNDS
pytestmark = pytest.mark.timeout(180 + 60 * ROUNDS)


async def _subscribed(link: AbstractConnection, key: str) -> AbstractQueue:
    channel = await link.channel()
    exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
    queue = await channel.declare_queue(f"test.{key}", durable=True)
    await queue.bind(exchange, key)
    return queue


async def _told(queue: AbstractQueue) -> list[dict[str, object]]:
    found = []
    while (message := await queue.get(fail=False, timeout=60)) is not None:
        await message.ack()
        found.append(msgspec.json.decode(message.body))
    return found


async def _until_told(queue: AbstractQueue, told: list[dict[str, object]], path: str) -> None:
    while not any(one.get("path") == path for one in told):
        told += await _told(queue)
        await asyncio.sleep(0.05)


async def _queued(rabbit: Server, name: str) -> list[dict[str, object]]:
    async with await aio_pika.connect(rabbit.url) as link, link.channel() as channel:
        return await _told(await channel.declare_queue(name, passive=True))


async def _drive_in_trouble(
    drive: SmallDrive, vendor: Vendor, rabbit: Server, redis: Server, inos: list[int]
) -> None:
    """Fetch everything while worker, broker and Redis are killed and the vendor is away for a while."""
    servers = Servers(rabbit.url, redis.url)
    process = start_upstream(drive.folder, servers)
    await until(drive, lambda one: one.queue is not None and not one.queue.trouble)
    asking = [asyncio.create_task(bring(drive, ino)) for ino in inos[:4]]
    await asyncio.sleep(0.05)
    process.kill()
    await asyncio.gather(ended(process), *asking)
    process = start_upstream(drive.folder, servers)
    try:
        await until(drive, lambda one: one.polled_at_s is not None)
        await asyncio.to_thread(rabbit.kill)
        await asyncio.gather(*(bring(drive, ino, 0.0) for ino in inos[4:8]))
        (one,) = (await status(drive)).upstreams
        assert one.queue is not None
        assert "RabbitMQ" in one.queue.trouble
        await asyncio.to_thread(rabbit.start)
        vendor.faults.down = True
        await asyncio.gather(*(bring(drive, ino, 0.0) for ino in inos[8:]))
        await until(drive, lambda one: one.queue is not None and one.queue.parked > 0)
        await asyncio.to_thread(redis.restart)
        async with Redis.from_url(redis.url) as client:
            while not [key async for key in client.scan_iter("trivet.*.google.parked:*")]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        vendor.faults.down = False
        await until(drive, lambda one: not one.trouble and one.queue is not None and not one.queue.parked)
        for ino in inos:
            await bring(drive, ino)
        await all_done(drive)
    finally:
        process.terminate()
        assert await ended(process) == 0


async def test_killed_servers_and_workers_lose_and_double_nothing(
    tmp_path: Path, rabbit: Server, redis: Server
) -> None:
    rng = random.Random(3)
    with serving(Vendor()) as vendor:
        far = {f"far {number}": rng.randbytes(SIZE) for number in range(FILES)}
        for name, body in far.items():
            vendor.put(name, body)
        async with small_drive(tmp_path / "state") as drive, door(drive), asyncio.timeout(120 + 60 * ROUNDS):
            account = Account("google", "/google", "ann", vendor.url, poll_s=0.5, quiet_s=0.0)
            keep_account(drive.folder, account)
            await until_listed(drive)
            volume = drive.loaded.volume
            folder = (await volume.lookup(ROOT_INO, b"google")).ino
            inos = [(await volume.lookup(folder, name.encode())).ino for name in far]
            for at in range(0, FILES, EACH):
                await _drive_in_trouble(drive, vendor, rabbit, redis, inos[at : at + EACH])
            for name, body in far.items():
                assert await read(drive, folder, name) == body
            assert vendor.face.used["download_bytes"] <= (FILES + 4 * ROUNDS) * SIZE
            name = f"trivet.{drive.folder.read_config().volume}.google.requests"
            assert await _queued(rabbit, name) == []
            assert await _queued(rabbit, f"{name}.dead") == []


async def test_every_change_is_told_to_subscribers_also_after_an_outage(
    tmp_path: Path, rabbit: Server
) -> None:
    async with small_drive(tmp_path / "state") as drive, door(drive), asyncio.timeout(200):
        async with await aio_pika.connect(rabbit.url) as link:
            await _subscribed(link, "docs.#")
        volume = drive.loaded.volume
        process = start_upstream(drive.folder, Servers(rabbit.url))
        place = drive.folder.upstream_path / "changes.slot"
        while not place.exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        docs = (await volume.mkdir(ROOT_INO, b"docs", 0o755, ME)).ino
        await write(drive, docs, "a plan.txt", b"plan")
        await asyncio.to_thread(rabbit.kill)
        await write(drive, docs, "late.txt", b"late")
        await asyncio.to_thread(rabbit.start)
        told: list[dict[str, object]] = []
        async with await aio_pika.connect(rabbit.url) as link:
            queue = await _subscribed(link, "docs.#")
            await _until_told(queue, told, "/docs/late.txt")
            await volume.unlink(docs, b"late.txt")
            before, told = told, []
            await _until_told(queue, told, "/docs/late.txt")
        process.terminate()
        assert await ended(process) == 0
        assert {one["path"] for one in before} == {"/docs", "/docs/a plan.txt", "/docs/late.txt"}
        assert told[-1]["what"] == "removed"
        slots = [int(str(one["slot"])) for one in before + told]
        assert slots == sorted(slots)
