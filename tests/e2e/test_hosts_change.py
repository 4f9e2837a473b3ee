"""A drive over three hosts changes: a bank gets a server on a fourth one, a second keeper comes."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from far_pair import ALPHA, BETA, DELTA, GAMMA, HOSTS, Hosts, running_pair
from folders import waited_for
from private_net import can_have_one
from trivet.io.volume_folder import VolumeConfig

pytestmark = [
    pytest.mark.mount,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        os.geteuid() != 0 or not can_have_one(), reason="this account may not make network namespaces"
    ),
]
SIZE = 1 << 20


def test_a_drive_that_is_there_gets_a_second_keeper(tmp_path: Path) -> None:
    """As it is told: volume.json is copied, the old keeper begins anew, then the new one's host."""
    with running_pair(tmp_path, "--keeper", ALPHA) as hosts:
        (hosts.drives[ALPHA].folder / "kept").write_text("before")
        said = hosts.net.trivet(GAMMA, "volume", "standby", BETA, "--state", str(tmp_path / "new"))
        assert f"`trivet down` and `trivet up` on {ALPHA}, and after that on {BETA}" in said
        assert "certify" not in said
        for host in HOSTS:
            shutil.copy(tmp_path / "new" / "volume.json", hosts.folder_of(host).config_path)
        refused = hosts.net.trivet(
            GAMMA, "volume", "standby", GAMMA, "--state", str(tmp_path / "new"), expect=2
        )
        assert f"has two keepers, on {ALPHA} and {BETA}" in refused
        for host in (ALPHA, BETA):
            hosts.drives[host].trivet("down")
            hosts.up(host)
        hosts.leads(ALPHA)
        hosts.net.pull_out(ALPHA)
        waited_for(lambda: hosts.writable() == hosts.drives[BETA].folder)
        assert (hosts.drives[BETA].folder / "kept").read_text() == "before"
        hosts.net.plug_in(ALPHA)
        hosts.leads(BETA)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """A drive whose keepers are on the first two hosts."""
    with running_pair(tmp_path) as running:
        yield running


def described(hosts: Hosts, host: str) -> VolumeConfig:
    """Return what the volume.json of a host says."""
    return hosts.folder_of(host).read_config()


def assert_whole(folder: Path, written: dict[str, bytes]) -> None:
    """Assert that every file is as it was written."""
    assert {name: (folder / name).read_bytes() for name in written} == written


def test_a_bank_gets_a_server_on_a_new_host(hosts: Hosts) -> None:
    """What belongs there moves there; whoever takes over, or lives on a third host, knows of it."""
    hosts.leads(ALPHA)
    written = {f"file-{number}": os.urandom(SIZE) for number in range(30)}
    for name, data in written.items():
        (hosts.drives[ALPHA].folder / name).write_bytes(data)
    hosts.net.trivet(GAMMA, "volume", "certify", DELTA, "--state", str(hosts.place / "new"))
    shutil.copytree(hosts.place / "new", hosts.drives[DELTA].state)
    assert f"Nothing of the drive runs on {DELTA} yet" in hosts.up(DELTA)
    hosts.leads(ALPHA)
    added = hosts.type_on(DELTA, "bank", "add", "9000", "--wait")
    assert "server 9001 belongs to bank 9000 now" in added
    assert "server 9001 holds what belongs there" in added
    told = json.loads(hosts.type_on(GAMMA, "status", "--json"))
    new = next(one for bank in told["banks"] for one in bank["servers"] if one["port"] == 9001)
    assert (new["host"], new["state"]) == (DELTA, "up")
    assert new["blobs"] > 0
    waited_for(lambda: all(described(hosts, host).host_of(9001) == DELTA for host in (*HOSTS, DELTA)))
    assert hosts.type_on(BETA, "bank", "add", "8000").startswith("server 8001 belongs to bank 8000 now")
    hosts.leads(ALPHA)

    hosts.net.pull_out(ALPHA)
    waited_for(lambda: hosts.writable() == hosts.drives[BETA].folder)
    assert_whole(hosts.drives[BETA].folder, written)
    hosts.net.plug_in(ALPHA)
    hosts.leads(BETA)
    assert json.loads(hosts.type_on(DELTA, "verify", "--deep", "--json"))["findings"] == []

    hosts.drives[DELTA].trivet("down")  # and up again: it knows by itself what is to run there
    hosts.up(DELTA)
    hosts.leads(BETA)
    hosts.net.pull_out(DELTA)
    assert_whole(hosts.drives[BETA].folder, written)
    hosts.net.plug_in(DELTA)


def test_nothing_is_added_while_the_one_that_may_follow_does_not_hear_of_it(hosts: Hosts) -> None:
    """It would lead without what lies there; once it is heard of again, the server comes."""
    told = hosts.leads(ALPHA)
    hosts.drives[BETA].kill(told["standby"]["pid"], signal.SIGSTOP)
    hosts.drives[ALPHA].wait_status(lambda told: told["standby"]["state"] == "silent")
    before = described(hosts, GAMMA)
    refused = hosts.type_on(GAMMA, "bank", "add", "9000", expect=2)
    assert f"the keeper that stands by on {BETA} must hear of it" in refused
    assert described(hosts, GAMMA) == described(hosts, ALPHA) == before
    hosts.drives[BETA].kill(told["standby"]["pid"], signal.SIGCONT)
    hosts.leads(ALPHA)
    hosts.type_on(GAMMA, "bank", "add", "9000", "--wait")
    assert described(hosts, BETA).host_of(9001) == GAMMA
