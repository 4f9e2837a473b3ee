"""A drive over three hosts (network namespaces), two with a keeper, the third with a program that uses it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from drive_under_test import COMMAND_DEADLINE_S, WAIT_S, Drive
from folders import is_ours, waited_for
from host_nets import HostNets, host_nets
from trivet.io.volume_folder import VolumeFolder

ALPHA, BETA, GAMMA, DELTA = [f"10.79.0.{number}" for number in (1, 2, 3, 4)]
HOSTS = [ALPHA, BETA, GAMMA]
BASES = {ALPHA: 7000, BETA: 8000, GAMMA: 9000}

#: Makes folders 0, 1, 2 ... in the drive until its input ends; a name that is there already is an error.
MAKES_NAMES = """
import asyncio, sys
from pathlib import Path
from trivet.client.remote_volume import connected
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller

async def work():
    async with connected(VolumeFolder(Path(sys.argv[1]))) as volume:
        made, count = await volume.mkdir(ROOT_INO, sys.argv[2].encode(), 0o755, Caller(0, 0)), 0
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        while not ended.done():
            await volume.mkdir(made.ino, b"%d" % count, 0o755, Caller(0, 0))
            count += 1
            print(count, flush=True)

asyncio.run(work())
"""


class Hosts:
    """The drive of each host, by its address; `net` joins them."""

    def __init__(self, place: Path, net: HostNets) -> None:
        self.net = net
        self.place = place
        self.drives = {host: Drive(place / host, servers=1) for host in (*HOSTS, DELTA)}

    def folder_of(self, host: str) -> VolumeFolder:
        """Return the state folder of a host."""
        return VolumeFolder(self.drives[host].state)

    def bank_of(self, host: str) -> Path:
        """Return the folder of a host's only server."""
        return self.drives[host].state / f"bank-{BASES[host]}" / f"server-{BASES[host]}"

    def up(self, host: str, expect: int | None = 0) -> str:
        """Bring up what belongs to a host, its folder with it if it has a keeper; return what is said."""
        drive = self.drives[host]
        drive.up_within = self.net.words(host)
        mount = ["--mount", str(drive.folder)] if host in (ALPHA, BETA) else []
        return drive.trivet("up", "--detach", "--no-gateway", "--refresh", "2", *mount, expect=expect).stdout

    def type_on(self, host: str, *words: str, expect: int = 0) -> str:
        """Type `trivet WORDS` on a host; return all it says."""
        return self.net.trivet(host, *words, "--state", str(self.drives[host].state), expect=expect)

    def leads(self, host: str) -> dict[str, Any]:
        """Wait until the keeper of a host leads, the other one follows it and all is whole; its status."""
        return self.drives[host].wait_status(
            lambda told: told["healthy"] and told["standby"] is not None
            and told["standby"]["state"] == "follows", 2 * WAIT_S
        )  # fmt: skip

    def kill_all(self, host: str) -> None:
        """Kill all that runs on a host, at once."""
        for process in self.drives[host].processes():
            process.kill()
        while self.drives[host].processes() or is_ours(self.drives[host].folder):
            self.drives[host].free_folder()
        self.drives[host].free_folder()  # the guard below

    @contextmanager
    def names_made(self, name: str) -> Iterator["Names"]:
        """Have a program on the third host make names all the while; assert that each was made once."""
        program = [*self.net.words(GAMMA), sys.executable, "-c", MAKES_NAMES]
        names = Names(program, self.drives[GAMMA].state, name)
        with names.running:
            yield names
            count = names.end()
        waited_for(lambda: self.writable() is not None)
        folder = self.writable()
        assert folder is not None
        assert sorted(map(int, os.listdir(folder / name))) == list(range(count))

    def writable(self) -> Path | None:
        """Return the folder that can be written, if one can."""
        for host in (ALPHA, BETA):
            folder = self.drives[host].folder
            with suppress(OSError):  # it is being taken over
                if is_ours(folder) and not os.statvfs(folder).f_flag & os.ST_RDONLY:
                    return folder
        return None


class Names:
    """The program that makes names; `running` is its process."""

    def __init__(self, words: list[str], state: Path, name: str) -> None:
        self.running = subprocess.Popen(
            [*words, str(state), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def more(self, count: int) -> None:
        """Wait until so many more were made."""
        assert self.running.stdout is not None
        for _ in range(count):
            assert self.running.stdout.readline(), "the program ended"

    def end(self) -> int:
        """End it; return how many it made."""
        assert self.running.stdin is not None
        self.running.stdin.close()
        assert self.running.stdout is not None
        last = int(self.running.stdout.read().split()[-1])
        assert self.running.wait(COMMAND_DEADLINE_S) == 0
        return last


@contextmanager
def running_pair(place: Path, *options: str) -> Iterator[Hosts]:
    """Bring up a drive over three hosts, two with a keeper (or as `options` say); a fourth is there, too."""
    banks = [f"--bank={base}={host}" for host, base in BASES.items()]
    keepers = options or ("--keeper", ALPHA, "--standby", BETA)
    words = ["volume", "init", *banks, *keepers, "--state", str(place / "new")]
    subprocess.run(
        [sys.executable, "-m", "trivet", *words], capture_output=True, text=True, check=True,
        timeout=COMMAND_DEADLINE_S,
    )  # fmt: skip
    with host_nets([*HOSTS, DELTA]) as net:
        running = Hosts(place, net)
        for host in HOSTS:
            shutil.copytree(place / "new", running.drives[host].state)
        try:
            for host in (BETA, GAMMA, ALPHA):
                print(running.up(host))
            yield running
        finally:
            for host in running.drives:
                net.plug_in(host)
            print(*(drive.logs() for drive in running.drives.values()))
            for drive in reversed(running.drives.values()):
                drive.close()
