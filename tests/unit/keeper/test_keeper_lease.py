"""A keeper waits the lease of the one before it out, unless its lock says that that one is dead."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from memory_ports import MemoryBanks
from small_drive import small_drive
from trivet.errors import FileSystemError
from trivet.io.clock import steady_s
from trivet.keeper.high_water import read_high_water, write_high_water
from trivet.quorum import lease
from trivet.volume.interface import ROOT_INO, Caller

LEASE_S = 0.8
NAMES = b"a", ROOT_INO, b"b"
CALLER = Caller(0, 0)


async def test_a_lease_is_waited_out_where_the_lock_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", LEASE_S)
    async with small_drive(tmp_path) as drive:
        mark_path = drive.folder.keeper_path / "high_water"
        old = read_high_water(mark_path)
        assert old is not None
        await drive.keeper.close()
        await drive.start_keeper()
        await drive.keeper.close()
        write_high_water(mark_path, old)  # as in another folder, whose keeper reigned two epochs ago
        began_s = steady_s()
        await drive.start_keeper()
        assert steady_s() - began_s > LEASE_S


async def test_nobody_is_told_of_a_name_before_two_banks_have_it() -> None:
    banks = MemoryBanks()
    volume = banks.fresh()
    await volume.start()
    await volume.mkdir(ROOT_INO, b"a", 0o755, CALLER)
    for asks in (
        volume.lookup(ROOT_INO, b"b"), volume.listing(ROOT_INO, 0, 10), volume.lookup(ROOT_INO, b"a"),
        volume.mkdir(ROOT_INO, b"b", 0o755, CALLER), volume.rmdir(ROOT_INO, b"a"),
    ):  # fmt: skip
        renaming = asyncio.create_task(volume.rename(ROOT_INO, *NAMES, replace=True, exchange=False))
        asking = asyncio.create_task(asks)
        with contextlib.suppress(FileSystemError):
            await asking
        assert banks.entries[-1].is_acked
        assert renaming.done()
        await renaming
        await volume.rename(ROOT_INO, b"b", ROOT_INO, b"a", replace=True, exchange=False)
    await volume.close()
