"""What one bank server does over its link: operations a second, and its own processor time for each.

Rule: one server, one client, loopback; the client's work is in the rates, not in the server's time.
Usage: python bench/bank_server.py [--seconds 1]
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil

from trivet.io.link import Link, LinkLost
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.bank_messages import Digest, GetBlob, PutBlob, SyncBlobs
from trivet.wire.blobs import sub_hashes
from trivet.wire.entries import GENESIS_HASH, EntryBody, Epoch, RecordOp, seal_entry
from trivet.wire.journal_messages import Admit, AdoptBegin, AdoptEnd, Append, Identity, Prepare, Reset

RUN = "import sys; from pathlib import Path; from trivet.bank.server import run_bank; "
RUN += "run_bank(int(sys.argv[1]), Path(sys.argv[2]), xmlrpc=False)"
EPOCH = Epoch(1, 1)
TIMEOUT_S = 30.0
PAGE = os.urandom(4096)
BLOB = os.urandom(1 << 20)


class Client:
    """The keeper's side of one server."""

    def __init__(self, link: Link, key: bytes) -> None:
        self.link = link
        self.key = key
        self.head = 0
        self.head_hash = GENESIS_HASH
        self.name = 0
        self.hashes = {len(PAGE): sub_hashes(PAGE), len(BLOB): sub_hashes(BLOB)}

    async def form(self) -> None:
        """Make the empty server a voter."""
        await self.link.request(Prepare(EPOCH), timeout_s=TIMEOUT_S)
        identity, _ = await self.link.request(Reset(EPOCH, 0), timeout_s=TIMEOUT_S)
        assert isinstance(identity, Identity)
        await self.link.request(AdoptBegin(EPOCH, 0, GENESIS_HASH), timeout_s=TIMEOUT_S)
        await self.link.request(AdoptEnd(0, GENESIS_HASH), timeout_s=TIMEOUT_S)
        await self.link.request(Admit(identity.incarnation, EPOCH), timeout_s=TIMEOUT_S)

    async def append(self, sync: bool) -> None:
        """Append one entry of about 4.2 KB."""
        op = RecordOp(b"b/%014d" % self.head, 0, PAGE)
        durable = max(0, self.head - 100)
        entry = seal_entry(self.key, self.head + 1, EPOCH, self.head_hash, EntryBody(durable, [op]))
        message = Append(EPOCH, self.head, self.head_hash, durable, sync)
        self.head, self.head_hash = entry.slot, entry.hash
        await self.link.request(message, entry.raw, timeout_s=TIMEOUT_S)

    async def put(self, data: bytes) -> None:
        """Store one blob."""
        self.name += 1
        message = PutBlob(self.name, self.hashes[len(data)], False)
        await self.link.request(message, data, timeout_s=TIMEOUT_S)

    async def get(self) -> None:
        """Read back one of the last blobs."""
        await self.link.request(GetBlob(self.name, 0, 1 << 20), timeout_s=TIMEOUT_S)


async def first_link(connect: Callable[[], Awaitable[Link]]) -> Link:
    """Return what `connect` does once the server is up."""
    while True:
        try:
            return await connect()
        except LinkLost:
            await asyncio.sleep(0.05)


async def measured(
    processes: Sequence[psutil.Process], work: Callable[[], Awaitable[None]], *, at_once: int, seconds: float
) -> tuple[float, float]:
    """Do `work` over and over, `at_once` at a time.

    Return how often a second, and the microseconds of processor time that `processes` took for each.
    """
    end = time.perf_counter() + seconds
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await work()
            done += 1

    began = time.perf_counter()
    before_s = _cpu_s(processes)
    await asyncio.gather(*(worker() for _ in range(at_once)))
    took = time.perf_counter() - began
    return done / took, (_cpu_s(processes) - before_s) / done * 1e6


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


async def rate(
    what: str, server: psutil.Process, work: Callable[[], Awaitable[None]], *, at_once: int, seconds: float
) -> float:
    """Do `work` over and over, `at_once` at a time; print and return how often a second."""
    a_second, cpu_us = await measured([server], work, at_once=at_once, seconds=seconds)
    print(f"{what:44} {a_second:10,.0f}/s   server {cpu_us:7.0f} us each")
    return a_second


async def measure(port: int, key: bytes, server: psutil.Process, seconds: float) -> None:
    """Print the figures of the server on `port`."""
    link = await first_link(lambda: Link.connect(("127.0.0.1", port), key, timeout_s=TIMEOUT_S))
    client = Client(link, key)
    await client.form()
    await rate("append 4 KiB, no sync", server, lambda: client.append(False), at_once=32, seconds=seconds)
    await rate(
        "append 4 KiB + sync, one by one", server, lambda: client.append(True), at_once=1, seconds=seconds
    )
    await rate(
        "append 4 KiB + sync, 16 at once", server, lambda: client.append(True), at_once=16, seconds=seconds
    )
    await client.link.request(
        Append(EPOCH, client.head, client.head_hash, client.head, True), timeout_s=TIMEOUT_S
    )
    await client.link.request(Digest(client.head), timeout_s=TIMEOUT_S)
    began = time.perf_counter()
    await client.link.request(Digest(client.head), timeout_s=TIMEOUT_S)
    rows_a_second = client.head / (time.perf_counter() - began)
    print(f"{f'digest of {client.head:,} rows':44} {rows_a_second:10,.0f} rows/s")
    await rate("put blob 4 KiB", server, lambda: client.put(PAGE), at_once=32, seconds=seconds)
    puts = await rate("put blob 1 MiB", server, lambda: client.put(BLOB), at_once=4, seconds=seconds)
    print(f"{'':44} {puts * 1.048576:10,.0f} MB/s")
    began = time.perf_counter()
    await client.link.request(SyncBlobs(), timeout_s=TIMEOUT_S)
    print(f"{'sync of these blobs':44} {time.perf_counter() - began:10.3f} s")
    gets = await rate("get blob 1 MiB, in memory", server, client.get, at_once=4, seconds=seconds)
    print(f"{'':44} {gets * 1.048576:10,.0f} MB/s")
    await link.close()


def main() -> None:
    """Start a server in a folder of its own and measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0)
    seconds = parser.parse_args().seconds
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as state:
        folder = VolumeFolder(Path(state))
        folder.create(VolumeConfig("00" * 8, [port, port + 1, port + 2], 1))
        child = subprocess.Popen([sys.executable, "-c", RUN, str(port), state])
        try:
            asyncio.run(measure(port, folder.read_key(), psutil.Process(child.pid), seconds))
        finally:
            child.terminate()
            child.wait()


if __name__ == "__main__":
    main()
