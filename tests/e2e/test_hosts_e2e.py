"""A drive over four hosts (network namespaces): a bank on each of three, keeper and folder on the fourth."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drive_under_test import COMMAND_DEADLINE_S, WAIT_S, Drive
from host_nets import HostNets, host_nets
from private_net import can_have_one
from trivet.io.mount_table import find_mount

ALPHA, BETA, GAMMA, KEEPER = HOSTS = [f"10.77.0.{number}" for number in (1, 2, 3, 4)]
BASES = {ALPHA: 7000, BETA: 8000, GAMMA: 9000}

PROGRAM = """
import hashlib, sys, fsspec
files = fsspec.filesystem("trivet", state=sys.argv[1])
data = files.cat_file("from the keeper")
print(hashlib.sha256(data).hexdigest())
files.pipe_file("from gamma", data[::-1])
files.close()
"""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not can_have_one(), reason="this account may not make network namespaces"
)


class Hosts:
    """The drive of each host, by its address; `net` joins them."""

    def __init__(self, place: Path, net: HostNets) -> None:
        self.net = net
        self.drives = {host: Drive(place / host, servers=1) for host in HOSTS}

    @property
    def keeper(self) -> Drive:
        return self.drives[KEEPER]

    def type_on(self, host: str, *words: str, expect: int = 0) -> str:
        """Type `trivet WORDS` on a host, and return what it says."""
        return self.net.trivet(host, *words, "--state", str(self.drives[host].state), expect=expect)

    def up(self) -> None:
        """Bring the drive up: the banks first, all at once, each finding out which host it is on."""
        folders = {GAMMA: ["--mount", str(self.drives[GAMMA].folder)]}
        with ThreadPoolExecutor() as pool:
            told = list(
                pool.map(lambda host: self.type_on(host, "up", "--detach", *folders.get(host, [])), BASES)
            )
        assert "Server 7000 of the drive is up on 10.77.0.1; the keeper runs on 10.77.0.4." in told[0]
        mount = ["--mount", str(self.keeper.folder)]
        self.type_on(KEEPER, "up", "--detach", "--no-gateway", "--refresh", "2", *mount)

    def down(self) -> None:
        """End every host's part, the keeper's first; assert that nothing is left."""
        self.keeper.close()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: self.drives[host].close(), BASES))

    def seen_down(self, host: str) -> dict[str, Any]:
        """Wait until the keeper has noticed that `host` is away."""

        def is_away(told: dict[str, Any]) -> bool:
            states = {s["host"]: s["state"] for bank in told["banks"] for s in bank["servers"]}
            return states.pop(host) in ("down", "hung") and set(states.values()) == {"up"}

        return self.keeper.wait_status(is_away, 2 * WAIT_S)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    place = tmp_path_factory.mktemp("hosts")
    banks = [f"--bank={base}={host}" for host, base in BASES.items()]
    subprocess.run(
        [
            sys.executable,
            "-m",
            "trivet",
            "volume",
            "init",
            *banks,
            "--keeper",
            KEEPER,
            "--state",
            place / "new",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=COMMAND_DEADLINE_S,
    )
    with host_nets(HOSTS) as net:
        made = Hosts(place, net)
        for drive in made.drives.values():
            shutil.copytree(place / "new", drive.state)
        try:
            made.up()
            yield made
        finally:
            for host in BASES:
                net.plug_in(host)
            print(*(drive.logs() for drive in made.drives.values()))
            made.down()


def test_one_host_after_the_other_is_pulled_out(hosts: Hosts) -> None:
    written: dict[str, str] = {}

    def write(name: str) -> None:
        small, large = os.urandom(3000), os.urandom(2 << 20)
        for kind, data in (("small", small), ("large", large)):
            path = hosts.keeper.folder / f"{name}-{kind}"
            with path.open("wb") as file:
                file.write(data)
                os.fsync(file.fileno())
            written[path.name] = hashlib.sha256(data).hexdigest()

    write("with all")
    for host in (ALPHA, BETA, GAMMA):
        hosts.net.pull_out(host)
        write(f"without {host}")
        told = hosts.seen_down(host)
        assert told["healthy"] is False
        write(f"still without {host}")
        hosts.net.plug_in(host)
        hosts.keeper.wait_healthy(2 * WAIT_S)
        assert {name: _digest(hosts.keeper.folder / name) for name in written} == written
    until = time.monotonic() + 2 * WAIT_S
    while not (checked := json.loads(hosts.keeper.trivet("verify", "--deep", "--json").stdout))["complete"]:
        assert time.monotonic() < until, f"never all three banks at once: {checked}"
    assert checked["findings"] == []


def test_a_program_on_another_host_reads_and_writes(hosts: Hosts) -> None:
    data = os.urandom(3 << 20)
    (hosts.keeper.folder / "from the keeper").write_bytes(data)
    program = [*hosts.net.words(GAMMA), sys.executable, "-c", PROGRAM, hosts.drives[GAMMA].state]
    done = subprocess.run(program, capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(data).hexdigest()
    assert (hosts.keeper.folder / "from gamma").read_bytes() == data[::-1]


def test_a_folder_on_another_host(hosts: Hosts) -> None:
    here, there = hosts.keeper.folder, hosts.drives[GAMMA].folder
    until = time.monotonic() + 2 * WAIT_S
    while (entry := find_mount(there)) is None or not entry.is_ours:
        assert time.monotonic() < until, "it is not mounted"
        time.sleep(0.1)
    data = os.urandom(3 << 20)
    (here / "written here").write_bytes(data)
    assert (there / "written here").read_bytes() == data
    (there / "written there").write_bytes(data[::-1])
    (there / "written there").rename(there / "renamed there")
    assert (here / "renamed there").read_bytes() == data[::-1]
    assert not (here / "written there").exists()


def test_each_host_tells_what_it_sees_and_does_what_is_its_own(hosts: Hosts) -> None:
    hosts.keeper.wait_healthy()
    told = json.loads(hosts.type_on(BETA, "status", "--json"))
    assert {s["host"]: s["state"] for bank in told["banks"] for s in bank["servers"]} == dict.fromkeys(
        BASES, "up"
    )
    assert "all whole" in hosts.type_on(BETA, "verify")
    assert f"port 7000 is on {ALPHA}" in hosts.type_on(BETA, "stop", "7000", expect=2)
    hosts.net.pull_out(KEEPER)
    assert f"runs on {KEEPER}: type this there" in hosts.type_on(BETA, "verify", expect=3)
    hosts.net.plug_in(KEEPER)
    assert "leave --standby" in hosts.type_on(BETA, "up", "--standby", expect=2)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
