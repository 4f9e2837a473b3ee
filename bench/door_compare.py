"""The HTTP door against a plain uvicorn + starlette app that hashes while it streams: ratios of one run.

Rule: contestants take turns; memory is touched before each large body; medians are told; only ratios count.
Rule: the plain app writes three copies of an upload to disk and hashes it like the door; it reads one.
Usage: python bench/door_compare.py [--mib 256] [--rounds 5] [--steps upload,download,small,put,workers,list]
"""

import argparse
import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from fs_compare import touch_memory
from fs_contestants import free_bases
from remote_volume import processes_of
from trivet.client.remote_volume import connected
from trivet.drive.file_metadata import ATTRIBUTE, Content, FileMetadata, Sums
from trivet.drive.resources import FOLDER_MIME
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import Caller

MIB = 1 << 20
WRK_S = 3
SMALL_PUTS = 40
FOLDER_FILES = 10_000
PAGE_ASKED = 5


@dataclass(frozen=True)
class Contestant:
    """A server on `port`; `worker` answers, `processes` are all that do its work."""

    port: int
    worker: psutil.Process
    processes: tuple[psutil.Process, ...]

    def cpu_s(self) -> float:
        """Return the processor time that its processes have used."""
        return sum(sum(one.cpu_times()[:2]) for one in self.processes)


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[float, bytes]:
    """Ask once; return how many seconds it took, and the end of the answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    link.request(method, path, body=body)
    answer = link.getresponse()
    last = b""
    while data := answer.read(MIB):
        last = data
    took = time.perf_counter() - began
    assert answer.status in {200, 201}, f"{method} {path}: {answer.status} {last[:200]!r}"
    link.close()
    return took, last


def requests_s(port: int, path: str, connections: int = 8) -> float:
    """Return requests per second as wrk finds them."""
    words = ["wrk", "-t1", f"-c{connections}", f"-d{WRK_S}s", f"http://127.0.0.1:{port}{path}"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    return float(next(line for line in told.splitlines() if "Requests/sec" in line).split()[1])


def turns(rounds: int, runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of `rounds` turns of each contestant."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}


def large(way: str, plain: Contestant, door: Contestant, data: bytes, rounds: int) -> None:
    """Compare uploads or downloads of one large body."""
    paths = {"plain": "/big", "door": "/api/v1/content/big.bin"}
    both = {"plain": plain, "door": door}
    method, body = ("PUT", data) if way == "upload" else ("GET", None)
    if way == "download":
        for name, one in both.items():
            ask(one.port, "PUT", paths[name], data)

    def run(name: str) -> float:
        touch_memory()
        return ask(both[name].port, method, paths[name], body)[0]

    before = {name: one.cpu_s() for name, one in both.items()}
    took = turns(rounds, {name: lambda name=name: run(name) for name in both})  # type: ignore[misc]
    mib = len(data) / MIB
    told = "; ".join(
        f"{name} {mib / took[name]:.0f} MiB/s, "
        f"{(one.cpu_s() - before[name]) * 1e3 / mib / rounds:.1f} ms CPU a MiB"
        for name, one in both.items()
    )
    print(f"{way}: {told}; ratio {took['plain'] / took['door']:.2f} (wanted 0.6)", flush=True)


def small_gets(plain: Contestant, door: Contestant, rounds: int) -> None:
    """Compare cached downloads of 4 KiB."""
    data = os.urandom(4096)
    ask(plain.port, "PUT", "/small", data)
    made = json.loads(ask(door.port, "PUT", "/api/v1/content/small.bin", data)[1])
    path = f"/api/v1/files/{made['id']}/content"
    before = {"plain": plain.cpu_s(), "door": door.cpu_s()}
    rates = turns(rounds, {"plain": lambda: requests_s(plain.port, "/small"),
                           "door": lambda: requests_s(door.port, path)})  # fmt: skip
    for name, one in (("plain", plain), ("door", door)):
        spent = (one.cpu_s() - before[name]) / (rates[name] * WRK_S * rounds)
        print(f"4 KiB GET: {name} {rates[name]:.0f}/s, {spent * 1e3:.2f} ms CPU a request")
    print(f"4 KiB GET: ratio {rates['door'] / rates['plain']:.2f} (wanted 0.5)", flush=True)


def small_puts(door: Contestant) -> None:
    """Tell how long the upload of a new 4 KiB file takes, and of a new version."""
    for what, name in (("new file", "put-{}.bin"), ("new version", "put-again.bin")):
        ask(door.port, "PUT", "/api/v1/content/" + name.format("first"), os.urandom(4096))
        before = door.cpu_s()
        took = sorted(
            ask(door.port, "PUT", "/api/v1/content/" + name.format(number), os.urandom(4096))[0]
            for number in range(SMALL_PUTS)
        )
        print(f"4 KiB PUT, {what}: "
              f"median {statistics.median(took) * 1e3:.1f} ms, slowest {took[-1] * 1e3:.1f} ms, "
              f"{(door.cpu_s() - before) / SMALL_PUTS * 1e3:.1f} ms CPU", flush=True)  # fmt: skip


def two_workers(place: Path, door: Contestant, rounds: int) -> None:
    """Compare one worker with two on the same port."""
    made = json.loads(ask(door.port, "PUT", "/api/v1/content/shared.bin", os.urandom(4096))[1])
    path = f"/api/v1/files/{made['id']}/content"
    one = turns(rounds, {"one": lambda: requests_s(door.port, path, 32)})["one"]
    words = [sys.executable, "-m", "trivet", "serve", "gateway", "--no-auth", "--state", str(place / "state")]
    log = place / "state" / "gateway" / "gateway.log"
    said = log.stat().st_size
    with subprocess.Popen([*words, "--port", str(door.port)]) as second:
        try:
            while b"serving http" not in log.read_bytes()[said:]:
                time.sleep(0.05)
                assert second.poll() is None, "the second worker ended"
            two = turns(rounds, {"two": lambda: requests_s(door.port, path, 32)})["two"]
        finally:
            second.terminate()
    print(f"workers: one {one:.0f}/s, two {two:.0f}/s, ratio {two / one:.2f} (wanted 1.3)", flush=True)


async def fill(state: Path, folder: int) -> None:
    """Make FOLDER_FILES files, described as the door describes them, in the folder."""
    sums = Sums("0" * 32, "0" * 40, "0" * 64)
    metadata = FileMetadata(owner="somebody", created_ns=1, content=Content("0" * 24, 0, 1, sums))
    async with connected(VolumeFolder(state)) as volume:
        caller = Caller(os.geteuid(), os.getegid())

        async def make(number: int) -> None:
            made, handle = await volume.create(folder, f"file-{number:05d}".encode(), 0o644, caller)
            await volume.setxattr(made.ino, ATTRIBUTE, metadata.encoded(), create=True, replace=False)
            await volume.release(handle)

        for first in range(0, FOLDER_FILES, 100):
            await asyncio.gather(*(make(number) for number in range(first, first + 100)))


def first_page(place: Path, door: Contestant) -> None:
    """Tell how long the first page of a large folder takes."""
    asked = json.dumps({"name": "many", "mimeType": FOLDER_MIME}).encode()
    made = json.loads(ask(door.port, "POST", "/drive/v3/files?fields=id", asked)[1])
    asyncio.run(fill(place / "state", int(made["id"])))
    page = f"/drive/v3/files?q=%27{made['id']}%27+in+parents+and+trashed=false"
    for what, more in (
        ("in its own order", ""),
        ("by name", "&orderBy=name"),
        ("1,000 of them", "&pageSize=1000"),
    ):
        took = [ask(door.port, "GET", page + more)[0] for _ in range(PAGE_ASKED)]
        print(f"files.list, {FOLDER_FILES:,} entries, first page {what}: "
              f"{statistics.median(took) * 1e3:.0f} ms (wanted 50)", flush=True)  # fmt: skip


@contextmanager
def running_door(place: Path, port: int) -> Iterator[Contestant]:
    """Bring a drive up whose door is on `port`; yield it."""
    state = ["--state", str(place / "state")]
    bases = ",".join(map(str, free_bases(3)))
    options = ["--no-mount", "--no-auth", "--servers", "1", "--ports", bases, "--port", str(port), "--detach"]
    trivet = [sys.executable, "-m", "trivet"]
    subprocess.run([*trivet, "up", *state, *options], check=True, capture_output=True)
    try:
        told = subprocess.run([*trivet, "status", "--json", *state], capture_output=True, check=False).stdout
        worker = psutil.Process(json.loads(told)["gateway"]["pid"])
        yield Contestant(port, worker, tuple(processes_of(place / "state")))
    finally:
        subprocess.run([*trivet, "down", *state], check=True, capture_output=True)


@contextmanager
def running_plain(place: Path, port: int) -> Iterator[Contestant]:
    """Serve the plain app on `port`; yield it."""
    place.mkdir()
    words = [sys.executable, "-m", "uvicorn", "plain_app:app", "--port", str(port)]
    env = {**os.environ, "PLAIN_FOLDER": str(place)}
    quiet = ["--no-access-log", "--log-level", "error"]
    with subprocess.Popen([*words, *quiet], cwd=Path(__file__).parent, env=env) as plain:
        try:
            process = psutil.Process(plain.pid)
            yield Contestant(port, process, (process,))
        finally:
            plain.terminate()


def main() -> None:
    """Bring both up and compare them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mib", type=int, default=256)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", default="upload,download,small,put,workers,list")
    asked = options.parse_args()
    steps = asked.steps.split(",")
    with tempfile.TemporaryDirectory(prefix="door-") as name, ExitStack() as stack:
        place, ports = Path(name), free_bases(2)
        plain = stack.enter_context(running_plain(place / "plain", ports[0]))
        door = stack.enter_context(running_door(place, ports[1]))
        data = os.urandom(asked.mib * MIB)
        for way in ("upload", "download"):
            if way in steps:
                large(way, plain, door, data, asked.rounds)
        if "small" in steps:
            small_gets(plain, door, asked.rounds)
        if "put" in steps:
            small_puts(door)
        if "workers" in steps:
            two_workers(place, door, asked.rounds)
        if "list" in steps:
            first_page(place, door)


if __name__ == "__main__":
    main()
