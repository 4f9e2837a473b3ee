"""The upstream's process killed with SIGKILL in the middle of transfers, again and again: exactly once."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from small_drive import small_drive
from trivet.upstream.account import Account, keep_account
from trivet.volume.interface import ROOT_INO
from upstream_process import (
    bring,
    bring_in_time,
    door,
    ended,
    read,
    start_upstream,
    until,
    until_listed,
    write,
)
from vendor_server import Vendor, serving

KILLS = int(os.environ.get("TRIVET_UPSTREAM_KILLS", "20"))
SEED = int(os.environ.get("TRIVET_SEED", "11"))
FILES, SIZE = 3 * KILLS, 100_000


@pytest.mark.timeout(60 + 6 * KILLS)
async def test_killed_again_and_again_everything_arrives_once(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    with serving(Vendor()) as vendor:
        far = {f"far {number}": rng.randbytes(SIZE) for number in range(FILES)}
        for name, body in far.items():
            vendor.put(name, body)
        async with small_drive(tmp_path / "state") as drive, door(drive), asyncio.timeout(50 + 6 * KILLS):
            account = Account("google", "/google", "ann", vendor.url, poll_s=0.5, quiet_s=0.0)
            keep_account(drive.folder, account)
            await until_listed(drive)
            folder = (await drive.loaded.volume.lookup(ROOT_INO, b"google")).ino
            inos = [(await drive.loaded.volume.lookup(folder, name.encode())).ino for name in far]
            ours = {f"ours {number}": rng.randbytes(SIZE) for number in range(FILES)}
            for kill in range(KILLS):
                for name in list(ours)[3 * kill : 3 * kill + 3]:
                    await write(drive, folder, name, ours[name])
                process = start_upstream(drive.folder)
                enough = sum(vendor.face.seen.values()) + rng.randrange(2, 10)
                asking = [
                    asyncio.create_task(bring_in_time(drive, process, ino)) for ino in rng.sample(inos, 3)
                ]
                while sum(vendor.face.seen.values()) < enough:  # noqa: ASYNC110 - the vendor is another thread
                    await asyncio.sleep(0.005)
                process.kill()
                await asyncio.gather(ended(process), *asking)
            process = start_upstream(drive.folder)
            try:
                while not all(map(vendor.named, ours)):  # noqa: ASYNC110 - the vendor is another thread
                    await asyncio.sleep(0.05)
                await until(drive, lambda one: one.polled_at_s is not None and not one.outbox)
                for ino in inos:
                    await bring(drive, ino)
            finally:
                process.terminate()
                await ended(process)
            for name, body in (far | ours).items():
                assert vendor.named(name) == [body], name
            for name, body in far.items():
                assert await read(drive, folder, name) == body
            assert [what for what, _ in vendor.drive.applied].count("create") == 2 * FILES
            assert vendor.face.used["download_bytes"] <= (FILES + 4 * KILLS) * SIZE
