"""RemoteVolume when things break: a client dies, a keeper is killed, banks hang or hold rubbish."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from drive_under_test import Drive, running_drive
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.io.link import Link
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller
from trivet.wire.bank_messages import BlobNames, ListBlobs
from trivet.wire.journal_messages import Hello

ME = Caller(os.getuid(), os.getgid())
MIB = 1 << 20

DYING_CLIENT = """
import asyncio, sys
from pathlib import Path
from trivet.client.remote_volume import RemoteVolume
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller

async def main():
    volume = await RemoteVolume.connect(VolumeFolder(Path(sys.argv[1])))
    made, handle = await volume.create(ROOT_INO, b"dying", 0o644, Caller(0, 0))
    await volume.flush(handle)
    await volume.write(handle, 0, bytes(3 << 20))
    stored = await asyncio.gather(*(chunk.putting for chunk in volume._writers[handle]._chunks))
    print(*(one.ref.name for one in stored), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A drive with one server a bank."""
    with running_drive(tmp_path_factory.mktemp("faults"), 1) as running:
        yield running
        print(running.logs())


def with_volume(drive: Drive, work: Callable[[RemoteVolume], Coroutine[Any, Any, None]]) -> None:
    """Run `work` with a client of the drive."""

    async def run() -> None:
        async with asyncio.timeout(80), connected(VolumeFolder(drive.state)) as volume:
            await work(volume)

    uvloop.run(run())


def names_on(drive: Drive, port: int) -> set[int]:
    """Return the names of the blobs that one server has."""

    async def ask() -> set[int]:
        link = await Link.connect(("127.0.0.1", port), VolumeFolder(drive.state).read_key(), timeout_s=5)
        await link.request(Hello("blobs"), timeout_s=5)
        reply, _ = await link.request(ListBlobs(0, 16_384), timeout_s=5)
        await link.close()
        assert isinstance(reply, BlobNames)
        return {name for name, _size, _root in reply.blobs}

    return asyncio.run(ask())


def holders(drive: Drive, names: set[int]) -> int:
    """Return how many servers have some of the blobs."""
    return sum(bool(names & names_on(drive, base)) for base in drive.bases)


def test_what_a_client_put_and_never_named_is_deleted(drive: Drive) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", DYING_CLIENT, str(drive.state)], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    names = set(map(int, client.stdout.readline().split()))
    assert len(names) == 3
    assert holders(drive, names) >= 2
    client.kill()
    client.wait()
    client.stdout.close()
    drive.wait_status(lambda told: holders(drive, names) == 0)
    assert (drive.folder / "dying").read_bytes() == b""
    drive.wait_healthy()


def test_a_keeper_killed_in_the_middle_loses_nothing_written(drive: Drive) -> None:
    data = random.Random(1).randbytes(20 * MIB)

    async def work(volume: RemoteVolume) -> None:
        made, handle = await volume.create(ROOT_INO, b"upload", 0o644, ME)
        await volume.write(handle, 0, data[: 10 * MIB])
        await volume.flush(handle)
        await volume.write(handle, 10 * MIB, data[10 * MIB : 13 * MIB])
        drive.kill(await asyncio.to_thread(drive.keeper_pid))
        await volume.flush(handle)
        await volume.release(handle)
        again = await volume.open(made.ino, writing=True, truncate=False, sync=False)
        assert await volume.read(again, 0, 30 * MIB) == data[: 13 * MIB]
        await volume.write(again, 13 * MIB, data[13 * MIB :])
        await volume.fsync(again)
        assert await volume.read(again, 0, 30 * MIB) == data
        await volume.release(again)

    with_volume(drive, work)
    drive.wait_healthy()
    assert (drive.folder / "upload").read_bytes() == data


def test_a_hung_server_holds_nobody_up_for_long(drive: Drive) -> None:
    data = random.Random(2).randbytes(30 * MIB)
    pid = drive.server_pid(drive.bases[1])

    async def work(volume: RemoteVolume) -> None:
        _made, handle = await volume.create(ROOT_INO, b"hung", 0o644, ME)
        drive.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            await volume.write(handle, 0, data)
            await volume.flush(handle)
            assert await volume.read(handle, 0, 40 * MIB) == data
            assert time.monotonic() - started < 15
        finally:
            drive.kill(pid, signal.SIGCONT)
        await volume.release(handle)

    with_volume(drive, work)
    drive.wait_healthy()
    assert drive.trivet("verify", "/hung", "--deep").returncode == 0


def test_rubbish_on_a_bank_is_never_handed_on(drive: Drive) -> None:
    data = random.Random(3).randbytes(3 * MIB)

    async def work(volume: RemoteVolume) -> None:
        _made, handle = await volume.create(ROOT_INO, b"rubbish", 0o644, ME)
        await volume.write(handle, 0, data)
        await volume.fsync(handle)
        for base in drive.bases[:2]:
            await asyncio.to_thread(drive.put, base, b"/rubbish", b"rubbish" * 1000)
            for _time in range(3):
                assert await volume.read(handle, 0, 4 * MIB) == data
        await volume.release(handle)

    with_volume(drive, work)
    until = time.monotonic() + 20
    while not any(repair["path"] == "/rubbish" for repair in repairs(drive)):
        assert time.monotonic() < until, "the rubbish was never mended"
    drive.wait_healthy()


def repairs(drive: Drive) -> list[dict[str, Any]]:
    """Return what was repaired."""
    told = json.loads(drive.trivet("repairs", "--json").stdout)
    found: list[dict[str, Any]] = told["repairs"] if isinstance(told, dict) else told
    return found
