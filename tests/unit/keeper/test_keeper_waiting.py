"""LocalVolume never makes a writer wait for a timer; what failed in a stall is waited for again after it."""

import asyncio

import pytest

from memory_ports import MemoryBanks
from trivet.errors import NoMajority
from trivet.keeper.batches import Ticket
from trivet.volume.attributes import MIB_BYTES
from trivet.volume.interface import ROOT_INO, Caller
from virtual_time import VirtualTimeLoop

ME = Caller(0, 0, 0o022)


def test_a_writer_waits_for_banks_not_for_timers() -> None:
    loop = VirtualTimeLoop()

    async def write_much() -> float:
        volume = MemoryBanks().fresh()
        await volume.start()
        _, handle = await volume.create(ROOT_INO, b"a", 0o666, ME)
        began_s = loop.time()
        for mib in range(200):
            await volume.write(handle, mib * MIB_BYTES, bytes(MIB_BYTES))
        took_s = loop.time() - began_s
        await volume.close()
        return took_s

    assert loop.run_until_complete(write_much()) < 0.1
    loop.close()


async def test_who_comes_once_banks_take_changes_again_waits() -> None:
    ticket = Ticket(0.0, lambda: None)
    before = asyncio.create_task(ticket.acked())
    await asyncio.sleep(0)
    ticket.fail("fewer than two banks take changes")
    with pytest.raises(NoMajority):
        await before
    with pytest.raises(NoMajority):
        await ticket.acked()
    ticket.wait_again()
    after = asyncio.create_task(ticket.acked())
    await asyncio.sleep(0)
    assert not after.done()
    ticket.mark_acked()
    await after
