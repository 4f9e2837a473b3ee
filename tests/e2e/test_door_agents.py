"""Several agents on three files at once: every read is a whole version that somebody wrote."""

import hashlib
import json
import os
import random
import threading
import time

import httpx
import psutil

from door_under_test import Door

AGENTS, FILES, SECONDS = 8, 3, 10.0


def sealed(agent: int, number: int, rng: random.Random) -> bytes:
    """Return a body that says who wrote it, and proves that it is whole."""
    filling = rng.randbytes(rng.choice([0, 100, 70_000, 1_200_000]))
    head = json.dumps({"agent": agent, "number": number, "size": len(filling)}).encode()
    return hashlib.sha256(head + filling).hexdigest().encode() + head + b"\n" + filling


def is_whole(body: bytes) -> bool:
    """Tell whether `body` is one that `sealed` made."""
    head, _, filling = body[64:].partition(b"\n")
    return hashlib.sha256(head + filling).hexdigest().encode() == body[:64]


class Agent(threading.Thread):
    """Reads and writes files at random, under ETags or locks."""

    def __init__(self, door: Door, number: int, until: float) -> None:
        super().__init__()
        self.number, self.until = number, until
        self.rng = random.Random(number)
        self.http = httpx.Client(base_url=door.address, timeout=30)
        self.reads = self.writes = self.conflicts = 0
        self.problems: list[str] = []

    def run(self) -> None:
        """Work until the time is over."""
        while time.monotonic() < self.until:
            place = f"/api/v1/content/agents/file-{self.rng.randrange(FILES)}"
            got = self.http.get(place)
            if got.status_code != 200 or not is_whole(got.content):
                self.problems.append(f"read: {got.status_code} {got.content[:100]!r}")
            self.reads += 1
            body = sealed(self.number, self.writes, self.rng)
            if self.rng.random() < 0.5:
                self._note(self.http.put(place, content=body, headers={"If-Match": got.headers["etag"]}))
            else:
                self._write_locked(place, body)
        self.http.close()

    def _write_locked(self, place: str, body: bytes) -> None:
        locks = f"/api/v1/files/{self.http.get(place.replace('content', 'paths')).json()['id']}/locks"
        me = f"agent-{self.number}"
        lock = self.http.post(locks, json={"owner": me, "ttl_s": 30})
        if lock.status_code == 423:
            self.conflicts += 1
            return
        token = str(lock.json()["token"])
        done = self.http.put(place, content=body, headers={"X-Trivet-Owner": me, "X-Trivet-Lock": token})
        if done.status_code != 200:
            self.problems.append(f"write under a lock: {done.status_code} {done.text}")
        self.writes += 1
        self.http.delete(f"{locks}?owner={me}&token={token}")

    def _note(self, done: httpx.Response) -> None:
        if done.status_code in {412, 423}:
            self.conflicts += 1
        elif done.status_code == 200:
            self.writes += 1
        else:
            self.problems.append(f"write: {done.status_code} {done.text}")


def test_agents_never_read_a_mixture_and_leak_nothing(door: Door) -> None:
    rng = random.Random(0)
    door.told("POST", "/api/v1/folders", json={"path": "agents"})
    for number in range(FILES):
        door.told("PUT", f"/api/v1/content/agents/file-{number}", content=sealed(99, 0, rng))
    worker = psutil.Process(door.pid())
    handles = worker.num_fds()
    seconds = float(os.environ.get("TRIVET_AGENTS_S", SECONDS))
    agents = [Agent(door, number, time.monotonic() + seconds) for number in range(AGENTS)]
    for agent in agents:
        agent.start()
    for agent in agents:
        agent.join()
    reads, writes = sum(one.reads for one in agents), sum(one.writes for one in agents)
    conflicts = sum(one.conflicts for one in agents)
    print(f"{reads} reads, {writes} writes, {conflicts} conflicts in {seconds:g} s")
    assert [problem for agent in agents for problem in agent.problems] == []
    assert min(writes, conflicts) > 0
    until = time.monotonic() + 20
    while worker.num_fds() > handles + 2:
        assert time.monotonic() < until, f"{worker.num_fds()} handles, {handles} before"
        time.sleep(0.1)
    assert not any(door.told("GET", f"/api/v1/files/{file['id']}/locks")["locks"] for file in listed(door))


def listed(door: Door) -> list[dict[str, str]]:
    """Return the files the agents fought for."""
    folder = door.told("GET", "/api/v1/paths/agents")["id"]
    files: list[dict[str, str]] = door.told("GET", f"/api/v1/folders/{folder}/children")["files"]
    return files
