"""What a worker does besides: watch the volume, and clear away what nobody will come back for.

Rule: a staged file or a lock without a row, an hour old, belongs to a request that died; a row past its
expiry, to a client that did; a temporary file, to a process that may have died.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from trivet.errors import TrivetError
from trivet.gateway.content_check import SPOOL_PREFIX
from trivet.gateway.files import downloads, transfers
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.nodes import entries_of
from trivet.gateway.files.old_versions import forget_gone
from trivet.gateway.files.parking import park_deserted
from trivet.gateway.files.removal import finish_removals
from trivet.gateway.files.uploading import remove_staged

SWEEP_EVERY_S = 600.0
PARK_EVERY_S = 1.0
VENDORS_EVERY_S = 1.0
FLUSH_EVERY_S = 1.0
ORPHAN_AGE_S = 3600.0
AGAIN_S = 2.0
GENERATED_KEPT_S = 30 * 24 * 3600.0

log = logging.getLogger(__name__)


async def keep_up(drive: Drive) -> None:
    """Watch and sweep until cancelled; an outage of the drive is waited out."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_again_and_again(drive, _watch, AGAIN_S))
        tasks.create_task(_again_and_again(drive, sweep, SWEEP_EVERY_S))
        tasks.create_task(_again_and_again(drive, park_deserted, PARK_EVERY_S))
        tasks.create_task(_again_and_again(drive, _tell_vendors, VENDORS_EVERY_S))
        tasks.create_task(_again_and_again(drive, _write_history, FLUSH_EVERY_S))


async def _again_and_again(drive: Drive, work: Callable[[Drive], Awaitable[None]], pause_s: float) -> None:
    while True:
        try:
            await work(drive)
        except TrivetError as error:
            log.warning("upkeep: %s", error)
        await asyncio.sleep(pause_s)


async def _tell_vendors(drive: Drive) -> None:
    await drive.vendors.tell(drive.hot)


async def _watch(drive: Drive) -> None:
    await drive.feed.run()


async def _write_history(drive: Drive) -> None:
    await drive.usage.flush()


async def sweep(drive: Drive) -> None:
    """Remove what has expired, and staged files that nobody will finish."""
    now_s = time.time()
    for (key,) in await drive.door.rows("SELECT key FROM transfers WHERE expires_at <= ?", now_s):
        await remove_staged(drive, key)
        await transfers.forget(drive, key)
    for (key,) in await drive.door.rows("SELECT key FROM downloads WHERE expires_at <= ?", now_s):
        await downloads.forget(drive, key)
    await drive.door.write("DELETE FROM generated WHERE ino IS NULL AND at < ?", now_s - GENERATED_KEPT_S)
    known = {
        key
        for table in ("transfers", "downloads")
        for (key,) in await drive.door.rows(f"SELECT key FROM {table}")
    }
    orphans = [
        entry.name.decode()
        async for entry in entries_of(drive, drive.uploads_ino)
        if entry.name.decode() not in known and now_s - entry.attributes.ctime_ns / 10**9 > ORPHAN_AGE_S
    ]
    for name in orphans:
        await remove_staged(drive, name)
    await asyncio.to_thread(_clear_folder, drive.folder / "uploads", known, now_s - ORPHAN_AGE_S)
    await finish_removals(drive)
    await forget_gone(drive)
    await drive.people.sweep()
    await drive.usage.sweep()


def _clear_folder(folder: Path, known: Collection[str], before_s: float) -> None:
    """Remove locks of no transfer in `known`, older than `before_s`, and files of processes that are gone."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.name.startswith(SPOOL_PREFIX):
                maker = path.name.split("-")[1]
                is_left = maker.isdecimal() and not Path("/proc", maker).exists()
            else:
                is_left = (
                    path.suffix == ".lock" and path.stem not in known and path.stat().st_mtime < before_s
                )
            if is_left:
                path.unlink()
