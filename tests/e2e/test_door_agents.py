"""Eight agents on three files, through HTTP and the folder: whole versions only, and nothing leaks."""

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import psutil
import pytest

from agents_at_work import FILES, Agent, place_of, sealed, writer_of
from door_under_test import Door
from drive_under_test import running_drive
from free_ports import free_port

AGENTS, SECONDS = 8, 60.0
CONFLICTS = 200
_MIB = 1 << 20
#: What an allocator may keep that was not there before; a leak of 8 agents is far more.
FLAT_BYTES = 48 * _MIB
#: Links and database handles that are opened when they are first needed, and stay.
SLACK = {"worker": 4, "keeper": 2, "sessions": 0, "locks": 0}


@pytest.fixture(scope="module")
def both_doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A drive with its folder and its HTTP door, with logins, and the user all agents are."""
    port = free_port()
    with running_drive(tmp_path_factory.mktemp("agents"), 1, "--port", str(port)) as drive:
        words = ("user", "add", "agents", "--scope", "/", "--verbs", "rw", "--password-stdin")
        drive.trivet(*words, stdin="three files only\n")
        door = Door(drive, port)
        login = {"user": "agents", "password": "three files only"}
        assert door.http.post("/api/v1/login", json=login).status_code == 204
        (drive.folder / "agents").mkdir()
        for number in range(FILES):
            (drive.folder / place_of(number)).write_bytes(sealed(99, 0, random.Random(number)))
        yield door
        door.http.close()


def held(door: Door) -> dict[str, int]:
    """Return what is held: handles of worker and keeper, open sessions, locks, staged files, old versions."""
    keeper, worker = psutil.Process(door.drive.keeper_pid()), psutil.Process(door.pid())
    with sqlite3.connect(door.drive.state / "gateway" / "people.sqlite") as people:
        sessions, locks = (
            people.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sessions", "locks")
        )
    return {"keeper": keeper.num_fds(), "worker": worker.num_fds(), "sessions": sessions, "locks": locks}


def memory(door: Door) -> dict[str, int]:
    """Return the memory of worker and keeper."""
    pids = {"keeper": door.drive.keeper_pid(), "worker": door.pid()}
    return {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}


def test_a_reader_in_the_folder_keeps_the_version_it_opened(both_doors: Door) -> None:
    path = both_doors.drive.folder / "kept.bin"
    versions = [random.Random(number).randbytes(3_000_000 - number) for number in range(4)]
    both_doors.told("PUT", "/api/v1/content/kept.bin", content=versions[0])
    for old, new in pairwise(versions):
        with path.open("rb", buffering=0) as opened:
            head = opened.read(200_000)
            both_doors.told("PUT", "/api/v1/content/kept.bin", content=new)
            assert path.read_bytes() == new
            assert os.fstat(opened.fileno()).st_size == len(old)
            rest = b"".join(iter(lambda: opened.read(200_000), b""))
        assert head + rest == old
        assert path.read_bytes() == new
        assert path.stat().st_size == len(new)


@pytest.mark.timeout(1200)
def test_agents_never_read_a_mixture_and_leak_nothing(both_doors: Door) -> None:
    door = both_doors
    before = held(door)
    seconds = float(os.environ.get("TRIVET_AGENTS_S", SECONDS))
    began = time.monotonic()
    agents = [
        Agent(door.address, door.drive.folder, number, began + seconds) for number in range(1, AGENTS + 1)
    ]
    for agent in agents:
        agent.start()
    agents[0].join(seconds / 3)
    warm = memory(door)
    for agent in agents:
        agent.join()
    counts = sum((Counter(agent.counts) for agent in agents), Counter())
    grown = {name: (now - warm[name]) / _MIB for name, now in memory(door).items()}
    print(f"{dict(counts)} in {seconds:g} s; grown by {grown} MiB behind the first third")
    problems = [problem[:300] for agent in agents for problem in agent.problems]
    assert not problems, "\n".join(problems)
    assert counts["412"] + counts["423"] > min(CONFLICTS, CONFLICTS * seconds / SECONDS)
    assert min(counts["412"], counts["423"], counts["folder writes"], counts["writes"]) > 0
    until = time.monotonic() + 30
    while any(now > before[name] + SLACK[name] for name, now in held(door).items()):
        assert time.monotonic() < until, f"{held(door)}, {before} before"
        time.sleep(0.1)
    assert max(grown.values()) * _MIB < FLAT_BYTES, grown
    for number in range(FILES):
        body = (door.drive.folder / place_of(number)).read_bytes()
        assert writer_of(body) is not None
        assert door.http.get(f"/api/v1/content/{place_of(number)}").content == body
