"""The high-water mark: the last slot this volume's keeper knew to be durable, kept beside the banks.

Rule: it is written within a second of a slot becoming durable; banks that end below it were rolled back.
Rule: of two keepers each keeps its own, the one that stands by of what it has read.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from trivet.errors import ConfigError
from trivet.io.volume_folder import write_synced
from trivet.keeper.owned_task import own_task
from trivet.wire.entries import Epoch

log = logging.getLogger(__name__)

EVERY_S = 0.5


class HighWater(msgspec.Struct, frozen=True):
    """What the file holds; `hash` is that of the entry at `slot`, b"" where nobody knew it."""

    epoch: Epoch
    slot: int
    hash: bytes = b""


class MarkKeeping:
    """Keeps the mark at `path` at the `newest` (None: there is none yet) while it runs, until `close`."""

    def __init__(self, path: Path, newest: Callable[[], HighWater | None]) -> None:
        self._path = path
        self._newest = newest
        self._running = own_task(self._run())

    async def close(self) -> None:
        """End, the newest mark stored."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        self._store(self._newest())

    async def _run(self) -> None:
        while True:
            await asyncio.to_thread(self._store, self._newest())
            await asyncio.sleep(EVERY_S)

    def _store(self, mark: HighWater | None) -> None:
        try:
            if mark is not None and mark != read_high_water(self._path):
                write_high_water(self._path, mark)
        except OSError as error:  # a full disk: an older mark forgets nothing, it guards less
            log.warning("the high-water mark can't be written: %s", error)


def read_high_water(path: Path) -> HighWater | None:
    """Return the mark, None if no keeper ever served this volume; a damaged file raises ConfigError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=HighWater)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"the high-water mark {path} can't be read ({error}); restore it, or remove it only if you are "
            "sure that no bank was rolled back"
        ) from error


def write_high_water(path: Path, mark: HighWater) -> None:
    """Replace the mark in one synced step."""
    write_synced(path, msgspec.json.encode(mark))
