"""LocalVolume never makes a writer wait for a timer."""

from memory_ports import MemoryBanks
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
