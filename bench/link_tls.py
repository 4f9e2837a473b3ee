"""What TLS costs between hosts: one bank server asked by unix socket, by TCP and by TLS, in turns.

Rule: the servers of TCP and TLS are alike but for the certificate; loopback, so the network costs nothing.
Usage: python bench/link_tls.py [--seconds 2] [--rounds 5]
"""

import argparse
import datetime
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import uvloop

from bank_server import BLOB, RUN, Client, first_link, measured
from trivet.io.certificates import certify, make_authority
from trivet.io.link import Link
from trivet.io.tls import client_tls
from trivet.io.volume_folder import VolumeConfig, VolumeFolder

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))

from free_ports import free_bases  # noqa: E402

TIMEOUT_S = 30.0
CONNECTIONS = 50


class Contestant:
    """A server of its own; `what` is how it is reached."""

    def __init__(self, what: str, place: Path) -> None:
        self.what = what
        self.folder = VolumeFolder(place)
        bases = free_bases(1)
        hosts = {str(base): "127.0.0.1" for base in bases} if what == "TLS" else {}
        self.folder.create(VolumeConfig("00" * 8, bases, 1, hosts=hosts))
        self.port = bases[0]
        self.tls: ssl.SSLContext | None = None
        if what == "TLS":
            now = datetime.datetime.now(datetime.UTC)
            make_authority(self.folder, "00" * 8, now)
            certify(self.folder, "127.0.0.1", self.folder.authority_key_path, now)
            self.tls = client_tls(self.folder)
        self.child = subprocess.Popen([sys.executable, "-c", RUN, str(self.port), str(place)])
        self.client: Client
        self.figures: dict[str, list[float]] = {}

    async def connect(self) -> Link:
        """Return a new link."""
        local = self.folder.server_socket(self.port, self.port)
        address = local if self.what == "unix socket" else ("127.0.0.1", self.port)
        return await Link.connect(address, self.folder.read_key(), timeout_s=TIMEOUT_S, tls=self.tls)

    async def begin(self) -> None:
        """Make it serve."""
        self.client = Client(await first_link(self.connect), self.folder.read_key())
        await self.client.form()
        await self.client.put(BLOB)

    async def turn(self, seconds: float) -> None:
        """Measure everything once."""
        began = time.perf_counter()
        for _ in range(CONNECTIONS):
            await (await self.connect()).close()
        self.note("connect, ms", (time.perf_counter() - began) / CONNECTIONS * 1e3)
        await self._rate("append 4 KiB, one by one", lambda: self.client.append(False), 1, seconds)
        await self._rate("append 4 KiB, 32 at once", lambda: self.client.append(False), 32, seconds)
        await self._rate("write 1 MiB blobs, MiB/s", lambda: self.client.put(BLOB), 4, seconds)
        await self._rate("read 1 MiB blobs, MiB/s", self.client.get, 4, seconds)

    async def _rate(
        self, what: str, work: Callable[[], Awaitable[None]], at_once: int, seconds: float
    ) -> None:
        processes = [psutil.Process(self.child.pid), psutil.Process()]
        a_second, cpu_us = await measured(processes, work, at_once=at_once, seconds=seconds)
        self.note(what, a_second)
        self.note(f"{what}: processor, us each", cpu_us)

    def note(self, what: str, figure: float) -> None:
        """Keep a figure."""
        self.figures.setdefault(what, []).append(figure)


async def compare(contestants: list[Contestant], rounds: int, seconds: float) -> None:
    """Let them take turns; print medians."""
    for contestant in contestants:
        await contestant.begin()
    for _ in range(rounds):
        for contestant in contestants:
            await contestant.turn(seconds)
    for contestant in contestants:
        await contestant.client.link.close()
    print(f"{'':44}" + "".join(f"{contestant.what:>14}" for contestant in contestants))
    for what in contestants[0].figures:
        medians = (statistics.median(contestant.figures[what]) for contestant in contestants)
        print(f"{what:44}" + "".join(f"{median:>14,.2f}" for median in medians))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="link-tls-") as place:
        contestants = [Contestant(what, Path(place) / what) for what in ("unix socket", "TCP", "TLS")]
        try:
            uvloop.run(compare(contestants, asked.rounds, asked.seconds))
        finally:
            for contestant in contestants:
                contestant.child.terminate()
                contestant.child.wait()


if __name__ == "__main__":
    main()
