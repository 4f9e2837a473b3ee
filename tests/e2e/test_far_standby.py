"""A drive over three hosts with a keeper on two: each has its turn when the other's host is lost.

The hosts are network namespaces.

Rule: a program on the third host makes names all the while: each is made once, whoever leads.
Rule: times are printed; the guide has them.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from far_pair import ALPHA, BASES, BETA, GAMMA, Hosts, running_pair
from folders import assert_read_only, is_ours, waited_for
from private_net import can_have_one

TAKEOVERS = int(os.environ.get("TRIVET_TAKEOVERS", "1"))
TAKEN_OVER_S = 12.0
#: Sooner than a lease runs out.
ENDED_S = 5.0

pytestmark = [
    pytest.mark.mount,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        os.geteuid() != 0 or not can_have_one(), reason="this account may not make network namespaces"
    ),
]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A drive whose keepers are on the first two hosts; every test leaves the first one leading."""
    with running_pair(tmp_path_factory.mktemp("far")) as running:
        yield running


def give_back(hosts: Hosts) -> None:
    """Have the first host lead again."""
    hosts.leads(BETA)
    pid = hosts.drives[BETA].status()["keeper"]["pid"]
    hosts.drives[BETA].kill(pid, signal.SIGTERM)
    hosts.leads(ALPHA)


def taken_over(hosts: Hosts, began: float) -> float:
    """Wait until the second host's folder can be written; return how long that took."""
    folder = hosts.drives[BETA].folder
    until = began + 3 * TAKEN_OVER_S
    while True:
        try:
            (folder / f"written {began}").write_text("after")
            return round(time.monotonic() - began, 2)
        except OSError:
            assert time.monotonic() < until, "nobody took over"
            time.sleep(0.05)


def test_the_folder_beside_shows_what_is_there_and_can_be_read_only(hosts: Hosts) -> None:
    told = hosts.leads(ALPHA)
    assert told["standby"]["host"] == BETA
    first, second = hosts.drives[ALPHA], hosts.drives[BETA]
    (first.folder / "kept").write_text("here")
    waited_for(lambda: is_ours(second.folder))
    assert (second.folder / "kept").read_text() == "here"
    assert_read_only(second.folder)
    assert (
        f"the second keeper of this drive runs on {BETA}"
        in first.trivet("up", "--standby", "--this-host", ALPHA, expect=2).stderr
    )


@pytest.mark.parametrize("host", [ALPHA, BETA, GAMMA])
def test_the_keeper_that_leads_is_asked_from_every_host(hosts: Hosts, host: str) -> None:
    hosts.leads(ALPHA)
    told = json.loads(hosts.type_on(host, "status", "--json"))
    assert (told["healthy"], told["keeper"]["name"], told["standby"]["host"]) == (True, "keeper", BETA)
    assert json.loads(hosts.type_on(host, "verify", "--deep", "--json"))["complete"]
    hosts.type_on(host, "snapshot", "create", f"from {host}")
    assert f"from {host}" in hosts.type_on(host, "snapshot", "list")
    assert json.loads(hosts.type_on(host, "repairs", "--json"))["open"] == []
    assert "there is no snapshot" in hosts.type_on(host, "snapshot", "remove", "nothing", expect=2)


@pytest.mark.parametrize("host", [BETA, GAMMA])
def test_a_bank_is_replaced_where_it_is(hosts: Hosts, host: str) -> None:
    hosts.leads(ALPHA)
    (hosts.drives[ALPHA].folder / f"filled {host}").write_bytes(os.urandom(3 << 20))
    hosts.drives[ALPHA].wait_healthy()
    assert "holds everything again" in hosts.type_on(host, "bank", "replace", str(BASES[host]), "--wait")
    assert list(hosts.bank_of(host).parent.glob("*.replaced-1"))
    assert f"port {BASES[host]} is on {host}" in hosts.type_on(
        ALPHA, "bank", "replace", str(BASES[host]), expect=2
    )
    hosts.drives[ALPHA].trivet("verify", "--deep")


@pytest.mark.parametrize("turn", range(TAKEOVERS))
def test_the_host_that_leads_is_pulled_out(hosts: Hosts, turn: int) -> None:
    hosts.leads(ALPHA)
    first = hosts.drives[ALPHA].folder
    (first / "before").write_text("before")
    with hosts.names_made(f"pulled out {turn}") as names:
        names.more(20)
        began = time.monotonic()
        hosts.net.pull_out(ALPHA)
        took_s = taken_over(hosts, began)
        assert (hosts.drives[BETA].folder / "before").read_text() == "before"
        names.more(20)
        told = json.loads(hosts.type_on(ALPHA, "status", "--json", expect=1))
        assert any("nothing is answered here" in note for note in told["notes"])
        print("pulled out: seconds until the other folder was written", took_s)
        with pytest.raises(OSError, match=r"Input/output|not connected|abort"):
            (first / "cut off").write_text("lost")
        hosts.net.plug_in(ALPHA)
        hosts.leads(BETA)
        names.more(20)
    assert took_s < TAKEN_OVER_S
    waited_for(lambda: is_ours(first) and not (first / "cut off").exists())
    assert (first / "before").read_text() == "before"
    assert hosts.drives[BETA].trivet("verify", "--deep").returncode == 0
    give_back(hosts)


def test_the_host_that_leads_is_lost_and_another_takes_its_name(hosts: Hosts) -> None:
    """All its disks had is gone: the new machine has what `volume init` made, and nothing else."""
    hosts.leads(ALPHA)
    with hosts.names_made("lost") as names:
        names.more(20)
        began = time.monotonic()
        hosts.net.pull_out(ALPHA)
        hosts.kill_all(ALPHA)
        took_s = taken_over(hosts, began)
        names.more(20)
        shutil.rmtree(hosts.drives[ALPHA].state)
        shutil.copytree(hosts.place / "new", hosts.drives[ALPHA].state)
        hosts.net.plug_in(ALPHA)
        hosts.up(ALPHA)
        hosts.leads(BETA)
        names.more(20)
    print("lost: seconds until the other folder was written", took_s)
    assert took_s < TAKEN_OVER_S
    assert hosts.drives[BETA].trivet("verify", "--deep").returncode == 0
    give_back(hosts)


def test_the_keeper_is_killed_and_ended(hosts: Hosts) -> None:
    told = hosts.leads(ALPHA)
    with hosts.names_made("killed") as names:
        names.more(20)
        began = time.monotonic()
        hosts.drives[ALPHA].kill(told["keeper"]["pid"])
        killed_s = taken_over(hosts, began)
        names.more(20)
        told = hosts.leads(BETA)
        assert json.loads(hosts.type_on(ALPHA, "status", "--json"))["keeper"]["name"] == "standby"
        hosts.drives[BETA].kill(told["keeper"]["pid"], signal.SIGTERM)
        began = time.monotonic()
        waited_for(lambda: hosts.writable() == hosts.drives[ALPHA].folder)
        ended_s = round(time.monotonic() - began, 2)
        names.more(20)
    print("killed, ended: seconds until the other folder could be written", killed_s, ended_s)
    assert killed_s < TAKEN_OVER_S
    assert ended_s < ENDED_S
    hosts.leads(ALPHA)


def test_the_second_host_comes_up_alone(hosts: Hosts) -> None:
    """After everything was ended in order; and the first one, when it is back, stands by."""
    hosts.leads(ALPHA)
    (hosts.drives[ALPHA].folder / "before the night").write_text("kept")
    for host in (GAMMA, BETA, ALPHA):
        hosts.drives[host].close()
    for host in (GAMMA, BETA):
        hosts.up(host)
    began = time.monotonic()
    taken_over(hosts, began)
    assert (hosts.drives[BETA].folder / "before the night").read_text() == "kept"
    print(hosts.up(ALPHA))
    hosts.leads(BETA)
    give_back(hosts)


def test_rolled_back_banks_are_shown_read_only_until_somebody_decides(hosts: Hosts, tmp_path: Path) -> None:
    """Whichever keeper has its turn says so, once and for all; the other does not push it off."""
    hosts.leads(ALPHA)
    (hosts.drives[ALPHA].folder / "kept").write_text("as it was")
    hosts.drives[ALPHA].wait_healthy()
    for host in (GAMMA, BETA, ALPHA):
        hosts.drives[host].close()
        shutil.copytree(hosts.bank_of(host), tmp_path / host, ignore=shutil.ignore_patterns("*.sock"))
    for host in (GAMMA, BETA, ALPHA):
        hosts.up(host)
    hosts.leads(ALPHA if hosts.writable() == hosts.drives[ALPHA].folder else BETA)
    folder = hosts.writable()
    assert folder is not None
    (folder / "later").write_text("lost")
    hosts.drives[folder.parent.name].wait_healthy()
    for host in (GAMMA, BETA, ALPHA):
        hosts.drives[host].close()
        shutil.rmtree(hosts.bank_of(host))
        shutil.copytree(tmp_path / host, hosts.bank_of(host))
    for host in (GAMMA, BETA, ALPHA):
        hosts.up(host, expect=None)
    for host in (ALPHA, BETA):
        hosts.drives[host].wait_old_state()
        assert (hosts.drives[host].folder / "kept").read_text() == "as it was"
        assert not (hosts.drives[host].folder / "later").exists()
    for host in (BETA, ALPHA):
        asked = hosts.drives[host].trivet("recover", "--accept-rollback", "--yes", expect=None)
        if asked.returncode == 0:
            break
        assert host == BETA
        assert f"ask on {ALPHA}, or here again" in asked.stderr
    waited_for(lambda: hosts.writable() is not None)
    folder = hosts.writable()
    assert folder is not None
    hosts.leads(folder.parent.name)
    assert (folder / "kept").read_text() == "as it was"
    if folder.parent.name == BETA:
        give_back(hosts)
