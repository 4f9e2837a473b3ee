"""The HTTP door against a plain uvicorn + starlette app that hashes while it streams: ratios of one run.

Rule: contestants take turns; medians are told; the plain app writes three copies to disk and reads one.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fs_contestants import free_bases
from trivet.client.remote_volume import connected
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import ROOT_INO, Caller

MIB = 1 << 20


async def plain_app(scope, receive, send):  # type: ignore[no-untyped-def]
    """PUT /name: hash and write three copies. GET /name: send one."""
    from starlette.requests import Request
    from starlette.responses import FileResponse, Response

    if scope["type"] != "http":
        return
    request, place = Request(scope, receive), Path(os.environ["PLAIN_FOLDER"])
    name = request.url.path.rpartition("/")[2]
    if request.method == "GET":
        await FileResponse(place / f"{name}.0")(scope, receive, send)
        return
    sums = [hashlib.md5(), hashlib.sha1(), hashlib.sha256()]
    copies = [(place / f"{name}.{number}").open("wb") for number in range(3)]
    async for data in request.stream():
        for one in sums:
            one.update(data)
        for copy in copies:
            copy.write(data)
    for copy in copies:
        copy.close()
    await Response(sums[2].hexdigest())(scope, receive, send)


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
    assert answer.status in {200, 201}, f"{method} {path}: {answer.status}"
    link.close()
    return took, last


def requests_s(port: int, path: str) -> float:
    """Return requests per second as wrk finds them."""
    words = ["wrk", "-t1", "-c8", "-d3s", f"http://127.0.0.1:{port}{path}"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(next(line for line in told.splitlines() if "Requests/sec" in line).split()[1])


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds a process has taken."""
    times = process.cpu_times()
    return float(times.user + times.system)


def turns(rounds: int, contestants: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Return the median of `rounds` turns of each contestant."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}


async def fill(state: Path, count: int) -> int:
    """Make a folder of `count` empty files; return its inode."""
    async with connected(VolumeFolder(state)) as volume:
        caller = Caller(os.geteuid(), os.getegid())
        folder = (await volume.mkdir(ROOT_INO, b"many", 0o755, caller)).ino

        async def make(number: int) -> None:
            _, handle = await volume.create(folder, f"file-{number:05d}".encode(), 0o644, caller)
            await volume.release(handle)

        for first in range(0, count, 100):
            await asyncio.gather(*(make(number) for number in range(first, first + 100)))
        return folder


@contextmanager
def running_door(place: Path, port: int) -> Iterator[psutil.Process]:
    """Bring a drive up whose door is on `port`; yield the door's worker."""
    state = ["--state", str(place / "state")]
    bases = ",".join(map(str, free_bases(3)))
    options = ["--no-mount", "--no-auth", "--servers", "1", "--ports", bases, "--port", str(port), "--detach"]
    trivet = [sys.executable, "-m", "trivet"]
    subprocess.run([*trivet, "up", *state, *options], check=True, capture_output=True)
    try:
        told = subprocess.run([*trivet, "status", "--json", *state], capture_output=True, check=False).stdout
        yield psutil.Process(json.loads(told)["gateway"]["pid"])
    finally:
        subprocess.run([*trivet, "down", *state], check=True, capture_output=True)


def compare(state: Path, ports: tuple[int, int], workers: tuple[psutil.Process, psutil.Process],
            size: int, rounds: int) -> None:  # fmt: skip
    """Run all steps on (plain, door) and print their figures."""
    data = os.urandom(size)
    here = "/api/v1/content/big.bin"
    plain, door = ports
    up = turns(rounds, {"plain": lambda: ask(plain, "PUT", "/big", data)[0],
                        "door": lambda: ask(door, "PUT", here, data)[0]})  # fmt: skip
    down = turns(
        rounds, {"plain": lambda: ask(plain, "GET", "/big")[0], "door": lambda: ask(door, "GET", here)[0]}
    )
    for name, took in (("upload", up), ("download", down)):
        speeds = {who: size / MIB / value for who, value in took.items()}
        print(f"{name}: plain {speeds['plain']:.0f} MiB/s, door {speeds['door']:.0f} MiB/s, "
              f"ratio {speeds['door'] / speeds['plain']:.2f} (wanted 0.6)", flush=True)  # fmt: skip
    ask(plain, "PUT", "/small", data[:4096])
    made = json.loads(ask(door, "PUT", "/api/v1/content/small.bin", data[:4096])[1])
    small = f"/api/v1/files/{made['id']}/content"
    before = [cpu_s(worker) for worker in workers]
    rates = turns(
        rounds, {"plain": lambda: requests_s(plain, "/small"), "door": lambda: requests_s(door, small)}
    )
    spent = [cpu_s(worker) - was for worker, was in zip(workers, before, strict=True)]
    for who, cpu in zip(("plain", "door"), spent, strict=True):
        print(
            f"4 KiB: {who} {rates[who]:.0f}/s, {cpu / (rates[who] * 3 * rounds) * 1e3:.2f} ms CPU a request"
        )
    print(f"4 KiB: ratio {rates['door'] / rates['plain']:.2f} (wanted 0.5)", flush=True)
    folder = asyncio.run(fill(state, 10_000))
    page = f"/drive/v3/files?q=%27{folder}%27+in+parents+and+trashed=false"
    took_s = statistics.median(ask(door, "GET", page)[0] for _ in range(5))
    print(f"files.list, 10,000 entries, first page of 100: {took_s * 1e3:.0f} ms (wanted 50)")


def main() -> None:
    """Bring both up and compare them."""
    options = argparse.ArgumentParser()
    options.add_argument("--mib", type=int, default=256)
    options.add_argument("--rounds", type=int, default=5)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        place = Path(name)
        (place / "plain").mkdir()
        ports = free_bases(2)
        words = [sys.executable, "-m", "uvicorn", "door_compare:plain_app", "--port", str(ports[0])]
        env = {**os.environ, "PLAIN_FOLDER": f"{place}/plain"}
        quiet = ["--no-access-log", "--log-level", "error"]
        with subprocess.Popen([*words, *quiet], cwd=Path(__file__).parent, env=env) as plain:
            try:
                with running_door(place, ports[1]) as worker:
                    both = psutil.Process(plain.pid), worker
                    compare(place / "state", (ports[0], ports[1]), both, asked.mib * MIB, asked.rounds)
            finally:
                plain.terminate()


if __name__ == "__main__":
    main()
