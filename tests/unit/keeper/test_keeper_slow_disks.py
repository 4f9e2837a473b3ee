"""Disks that take seconds for a sync are waited for: only banks that do not take changes are an error."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from small_drive import small_drive
from trivet.keeper.journal import NO_MAJORITY_AFTER_S


async def test_an_fsync_waits_for_disks_that_are_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_sync, sync = threading.Event(), os.fdatasync

    def slow_sync(fd: int) -> None:
        assert may_sync.wait(20)
        sync(fd)

    async with small_drive(tmp_path) as drive:
        with monkeypatch.context() as slow:
            slow.setattr(os, "fdatasync", slow_sync)
            writing = asyncio.create_task(drive.write(b"file", b"bytes"))
            done, _ = await asyncio.wait([writing], timeout=NO_MAJORITY_AFTER_S + 1)
            assert not done
            may_sync.set()
            await writing
        assert await drive.read(b"file") == b"bytes"
