"""The upstream's process killed with SIGKILL while it gives bodies up: each is here or away, none is half."""

import asyncio
import os
import random
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from small_drive import SmallDrive, small_drive
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.upstream.account import Account, keep_account
from trivet.upstream.work import STAGING
from trivet.volume.interface import AWAY, PRIVATE_INO, ROOT_INO
from upstream_process import bring, door, ended, read, start_upstream, until, until_listed, write
from vendor_server import Vendor, serving

KILLS = max(3, int(os.environ.get("TRIVET_UPSTREAM_KILLS", "15")) // 5)
FILES, SIZE = 10, 50_000


async def _away(drive: SmallDrive, inos: list[int]) -> int:
    """Return how many bodies are at the vendor only."""
    found = 0
    for ino in inos:
        found += AWAY in await drive.loaded.volume.listxattr(ino)
    return found


async def _staged(drive: SmallDrive) -> list[bytes]:
    """Return what is staged for the vendor's sake."""
    volume = drive.loaded.volume
    staging = (await volume.lookup(PRIVATE_INO, STAGING.encode())).ino
    entries = await volume.listing(staging, 0, 1000)
    return [one.name for one in entries if one.name not in (b".", b"..")]


async def _evict(drive: SmallDrive, process: BaseProcess) -> None:
    """Order that everything is given up; the process may be killed meanwhile."""
    while process.is_alive():
        with suppress(NotRunning, Remote):
            await ask(drive.folder.upstream_socket, "cache-evict", {"path": "/google"})
            return
        await asyncio.sleep(0.02)


async def _killed_in_the_middle(
    drive: SmallDrive, process: BaseProcess, inos: list[int], given_up: int, *, staged: bool
) -> None:
    """Kill the process when so many bodies are given up, or, `staged`, in the exchange of the next."""
    evicting = asyncio.create_task(_evict(drive, process))
    while not evicting.done() and (  # noqa: ASYNC110 - another process
        await _away(drive, inos) < given_up or (staged and not await _staged(drive))
    ):
        await asyncio.sleep(0)
    process.kill()
    await asyncio.gather(ended(process), evicting)


@pytest.mark.timeout(60 + 10 * KILLS)
async def test_killed_while_giving_bodies_up_none_is_lost(tmp_path: Path) -> None:
    rng = random.Random(int(os.environ.get("TRIVET_SEED", "7")))
    with serving(Vendor()) as vendor:
        bodies = {f"far {number}": rng.randbytes(SIZE) for number in range(FILES)}
        for name, body in bodies.items():
            vendor.put(name, body)
        async with small_drive(tmp_path / "state") as drive, door(drive), asyncio.timeout(50 + 10 * KILLS):
            account = Account("google", "/google", "ann", vendor.url, poll_s=0.5, quiet_s=3600.0)
            keep_account(drive.folder, account)
            await until_listed(drive)
            volume = drive.loaded.volume
            folder = (await volume.lookup(ROOT_INO, b"google")).ino
            await write(drive, folder, "ours", b"the vendor has never seen this")
            inos = [(await volume.lookup(folder, name.encode())).ino for name in bodies]
            caught = 0
            for kill in range(KILLS):
                process = start_upstream(drive.folder)
                await until(drive, lambda one: one.polled_at_s is not None)
                assert await _staged(drive) == [], "what a killed process had staged goes at the next start"
                for ino in inos:
                    await bring(drive, ino)
                for name, body in bodies.items():
                    assert await read(drive, folder, name) == body
                given_up = rng.randrange(FILES - 4)
                await _killed_in_the_middle(drive, process, inos, given_up, staged=kill % 2 == 0)
                caught += bool(await _staged(drive))
                assert await read(drive, folder, "ours") == b"the vendor has never seen this"
                for name, ino in zip(bodies, inos, strict=True):
                    if not await _away(drive, [ino]):
                        assert await read(drive, folder, name) == bodies[name]
            print(f"{KILLS} kills, {caught} of them in the middle of an exchange")
            assert vendor.named("ours") == []
