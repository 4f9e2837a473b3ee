"""Agents that read and write a few files at random, through HTTP and the folder, and prove what they read.

Rule: a body says who wrote it, in which order, and its own hash: a mixture of two is found out.
Rule: who has seen a body of a writer never gets an older one of that writer through the same door, nor one
older than what the reader itself has written, through any door.
"""

import hashlib
import json
import os
import random
import threading
import time
from pathlib import Path

import httpx

FILES = 3
_HASH = 64
_SIZES = [0, 100, 70_000, 1_200_000]
_PIECE = 100_000


def place_of(number: int) -> str:
    """Return the path of one of the files."""
    return f"agents/file-{number}"


def sealed(agent: int, number: int, rng: random.Random) -> bytes:
    """Return a body that says who wrote it, and proves that it is whole."""
    filling = rng.randbytes(rng.choice(_SIZES))
    head = json.dumps({"agent": agent, "number": number}).encode() + b"\n"
    return hashlib.sha256(head + filling).hexdigest().encode() + head + filling


def writer_of(body: bytes) -> tuple[int, int] | None:
    """Return (agent, number) of a body that `sealed` made, None if it is not whole."""
    if hashlib.sha256(body[_HASH:]).hexdigest().encode() != body[:_HASH]:
        return None
    head = json.loads(body[_HASH:].partition(b"\n")[0])
    return head["agent"], head["number"]


class Agent(threading.Thread):
    """Works until the time `until` (monotonic seconds), then logs out; says in `problems` what it met."""

    def __init__(self, address: str, folder: Path, number: int, until: float) -> None:
        super().__init__(name=f"agent-{number}")
        self.number, self.until, self.folder = number, until, folder
        self.rng = random.Random(number)
        self.http = httpx.Client(base_url=address, timeout=60)
        self.counts = dict.fromkeys(("reads", "folder reads", "writes", "folder writes", "412", "423"), 0)
        self.problems: list[str] = []
        login = {"user": "agents", "password": "three files only"}
        assert self.http.post("/api/v1/login", json=login).status_code == 204
        self._written = 0
        self._seen: dict[tuple[str, int, int], int] = {}

    def run(self) -> None:
        """Work until the time is over."""
        try:
            while time.monotonic() < self.until and not self.problems:
                file = self.rng.randrange(FILES)
                self._read_folder(file) if self.rng.random() < 0.5 else self._read(file)
                write = self.rng.choice([self._write_matching, self._write_locked, self._write_folder])
                self._written += 1
                write(file, sealed(self.number, self._written, self.rng))
            assert self.http.post("/api/v1/logout").status_code == 204
        except Exception as error:  # noqa: BLE001 - a thread's error would be lost: the test shows it
            self.problems.append(f"agent {self.number}: {error!r}")
        finally:
            self.http.close()

    def _read(self, file: int) -> str:
        """Read over HTTP; return the ETag."""
        got = self.http.get(f"/api/v1/content/{place_of(file)}")
        assert got.status_code == 200, f"{got.status_code} {got.text[:200]}"
        self._check("http", file, got.content)
        self.counts["reads"] += 1
        return str(got.headers["etag"])

    def _read_folder(self, file: int) -> None:
        """Read through the folder, in pieces, at times with a pause in which others write."""
        pause_s = self.rng.choice([0.0, 0.0, 0.02])
        parts = []
        with (self.folder / place_of(file)).open("rb", buffering=0) as opened:
            while piece := opened.read(_PIECE):
                parts.append(piece)
                time.sleep(pause_s)
            assert os.fstat(opened.fileno()).st_size == sum(map(len, parts))
        self._check("folder", file, b"".join(parts))
        self.counts["folder reads"] += 1

    def _check(self, door: str, file: int, body: bytes) -> None:
        found = writer_of(body)
        assert found is not None, f"{place_of(file)} through {door} is a mixture: {body[:120]!r}"
        agent, number = found
        newest = max(self._seen.get((door, file, agent), 0), self._seen.get(("own", file, agent), 0))
        assert number >= newest, f"{door} {file}: {number} of agent {agent} after {newest}"
        self._seen[door, file, agent] = number

    def _note_written(self, file: int, way: str) -> None:
        self._seen["own", file, self.number] = self._written
        self.counts[way] += 1

    def _write_matching(self, file: int, body: bytes) -> None:
        """Write if nobody has meanwhile."""
        etag = self._read(file)
        time.sleep(self.rng.choice([0.0, 0.01]))
        place = f"/api/v1/content/{place_of(file)}"
        self._note(file, self.http.put(place, content=body, headers={"If-Match": etag}))

    def _write_locked(self, file: int, body: bytes) -> None:
        """Write under a lock, if it is to be had; a rename in the folder may leave it with the old file."""
        found = self.http.get(f"/api/v1/paths/{place_of(file)}").json()["id"]
        locks, me = f"/api/v1/files/{found}/locks", f"agent-{self.number}"
        lock = self.http.post(locks, json={"owner": me, "ttl_s": 30})
        if lock.status_code != 201:
            assert lock.status_code in {404, 423}, f"{lock.status_code} {lock.text}"
            self.counts["423"] += lock.status_code == 423
            return
        token = str(lock.json()["token"])
        headers = {"X-Trivet-Owner": me, "X-Trivet-Lock": token}
        done = self.http.put(f"/api/v1/files/{found}/content", content=body, headers=headers)
        if done.status_code == 200:
            self._note_written(file, "writes")
        else:
            assert done.status_code == 404, f"write under a lock: {done.status_code} {done.text}"
        gone = self.http.delete(f"{locks}?owner={me}&token={token}")
        assert gone.status_code == 204, f"{gone.status_code} {gone.text}"

    def _write_folder(self, file: int, body: bytes) -> None:
        """Write a file beside, and rename it over the one that is there."""
        place = self.folder / place_of(file)
        beside = place.with_name(f".{place.name}.{self.number}")
        beside.write_bytes(body)
        beside.rename(place)
        self._note_written(file, "folder writes")

    def _note(self, file: int, done: httpx.Response) -> None:
        if done.status_code in {412, 423}:
            self.counts[str(done.status_code)] += 1
            return
        assert done.status_code == 200, f"write: {done.status_code} {done.text}"
        self._note_written(file, "writes")
