"""What the keeper hears of a third copy: with the name if it came in time, else behind it, never before."""

import asyncio
from pathlib import Path

from door_rig import door_rig
from trivet.client.remote_volume import connected
from trivet.io.link import Body, Reply
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.journal_messages import BankMessage, Done

MIB = 1 << 20


class SlowServer:
    """A bank's server that answers once its gate is open."""

    is_away = is_near = False

    def __init__(self, base: int, gate: asyncio.Event) -> None:
        self.base = base
        self._gate = gate

    async def ask(self, message: BankMessage, body: Body = b"", *, timeout_s: float) -> Reply:
        """Take whatever is put."""
        await self._gate.wait()
        return Done(), b""

    def give_up(self) -> None:
        """See BankServer."""


class Pool:
    """Three banks, of which the last has a gate."""

    def __init__(self, bases: list[int], gate: asyncio.Event) -> None:
        opened = asyncio.Event()
        opened.set()
        self.banks = [[SlowServer(base, gate if base == bases[-1] else opened)] for base in bases]
        self.majority = 2

    def servers_for(self, name: int, bank: int) -> list[SlowServer]:
        """See BankPool."""
        return self.banks[bank]


async def test_a_third_copy_is_told_of_with_the_name_or_behind_it(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with door_rig(tmp_path / "state") as rig, connected(rig.folder) as volume:
        volume._transfer._pool = Pool(list(rig.blobs.bases), gate)  # type: ignore[assignment]
        _, handle = await volume.create(ROOT_INO, b"f", 0o644, Caller(0, 0))
        await volume.write(handle, 0, bytes(MIB))
        chunk = volume._writers[handle]._chunks[0]
        assert chunk.putting is not None
        await chunk.putting
        assert rig.blobs.stored == []
        gate.set()
        await asyncio.gather(*volume._transfer._late)
        await volume.flush(handle)
        assert sorted(base for _, base in rig.blobs.stored) == list(rig.blobs.bases)
        gate.clear()
        rig.blobs.stored.clear()
        await volume.write(handle, MIB, bytes(MIB))
        await volume.flush(handle)
        named = [base for _, base in rig.blobs.stored]
        assert sorted(named) == list(rig.blobs.bases[:2])
        assert rig.blobs.came == []
        gate.set()
        await asyncio.gather(*volume._transfer._late)
        await volume._reports.close()
        assert [base for _, base in rig.blobs.came] == [rig.blobs.bases[-1]]
        await volume.release(handle)
    assert rig.blobs.missing == []
