"""Measures `trivet wire` on captures made here, on loopback: rates, memory, and ratios to tshark.

Run: .venv/bin/python bench/wire_bench.py [--exchanges 20000] [--folder DIR] [STEP...]
Needs dumpcap, tshark and the right to capture on lo. Steps: plain tls drip million ten-gib.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests" / "support")]

import wire_traffic  # noqa: E402

TRIVET = [sys.executable, "-m", "trivet", "wire"]
GIB = 1 << 30


def timed(words: list[Any], **options: Any) -> tuple[float, float, bytes]:
    """Run a command; return (seconds, MiB of memory at its peak, stdout)."""
    started = time.monotonic()
    with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, **options) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return time.monotonic() - started, usage.ru_maxrss / 1024, out


def connection_pass(path: Path) -> tuple[int, float, float]:
    """Return (packets, seconds, processor seconds) of the pass over connections alone, in this process."""
    from trivet.insight.connections import ConnectionTable
    from trivet.io.capture_reader import packet_blocks
    from trivet.wire.capture_file import CaptureScanner
    from trivet.wire.packet_headers import AddressBook, PacketCounts, decode

    scanner, book, table, counts = CaptureScanner(), AddressBook(), ConnectionTable(), PacketCounts()
    started, started_cpu = time.monotonic(), time.process_time()
    for block in packet_blocks(path, scanner):
        segments = decode(block, book, counts)
        if len(segments):
            table.add(segments)
    return scanner.packets, time.monotonic() - started, time.process_time() - started_cpu


def report(path: Path, exchanges: int, keys: Path | None) -> None:
    """Time the whole report beside tshark's own reading of the same file, three times each, alternating."""
    packets, pass_s, cpu_s = min((connection_pass(path) for _ in range(5)), key=lambda one: one[1])
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB, {packets:,} packets")
    print(
        f"  connection pass: {packets / pass_s:,.0f} packets/s ({packets / cpu_s:,.0f} a second of CPU time)"
    )
    with_keys = ["--keylog", keys] if keys else []
    tshark = ["tshark", "-n", "-r", path, *(["-o", f"tls.keylog_file:{keys}"] if keys else []), "-Y", "http"]
    tshark += ["-T", "fields", "-e", "frame.number", "-e", "http.request.uri", "-e", "http.response.code"]
    ours, theirs, memory = [], [], 0.0
    for _ in range(3):
        seconds, memory, out = timed([*TRIVET, path, *with_keys, "--json"])
        ours.append(seconds)
        seconds, tshark_memory, _ = timed(tshark, stderr=subprocess.DEVNULL)
        theirs.append(seconds)
    told = json.loads(out)
    wrong = [
        row for row in told["exchanges"] if row["response_bytes"] != wire_traffic.wanted_bytes(row["url"])
    ]
    assert (told["requests"], told["pairs"], len(wrong)) == (exchanges, exchanges, 0), (
        told["pairs"],
        wrong[:3],
    )
    ratio = sorted(ours)[1] / sorted(theirs)[1]
    print(f"  whole report: {sorted(ours)[1]:.2f} s, {memory:.0f} MiB; all {told['pairs']:,} pairs right")
    print(f"  tshark alone: {sorted(theirs)[1]:.2f} s, {tshark_memory:.0f} MiB; ratio {ratio:.2f}")


def exchanges_step(folder: Path, exchanges: int, tls: bool) -> None:
    """Capture `exchanges` on 200 keep-alive connections and report on them."""
    path, keys = folder / ("tls.pcapng" if tls else "plain.pcapng"), folder / "keys"
    if not path.exists():
        wire_traffic.make_capture(path, exchanges, keys if tls else None)
    report(path, exchanges, keys if tls else None)


def drip(folder: Path) -> None:
    """Compare first and last byte as read from a capture with the server's own clock."""
    path = folder / "drip.pcapng"
    truth = wire_traffic.drip_capture(path)
    rows = json.loads(timed([*TRIVET, path, "--json"])[2])["exchanges"]
    errors = [
        max(abs(row["wait_s"] - wait_s), abs(row["transfer_s"] - transfer_s))
        for row, (wait_s, transfer_s) in zip(rows, truth, strict=True)
    ]
    print(
        f"drip: {len(errors)} exchanges, first and last byte within {max(errors) * 1000:.2f} ms of the truth"
    )


def streamed(name: str, write: Callable[[Any], int], cap_bytes: int) -> None:
    """Pipe a capture into `trivet wire -` under a cap of address space."""
    started = time.monotonic()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (cap_bytes, cap_bytes))

    words = [*TRIVET, "-", "--json"]
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=limit,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        size = write(process.stdin)
        process.stdin.close()
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, name
    told = json.loads(out)
    seconds = time.monotonic() - started
    print(
        f"{name}: {size / 1e9:.2f} GB, {told['packets']:,} packets, {told['streams']:,} connections, "
        f"{told['pairs']:,} pairs in {seconds:.0f} s; {usage.ru_maxrss / 1024:.0f} MiB under a cap of "
        f"{cap_bytes / GIB:.0f} GiB"
    )
    for note in told["notes"]:
        print("  !", note)


def main() -> None:
    """Run the steps that are asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--exchanges", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/trivet-wire-bench"))
    parser.add_argument("steps", nargs="*", default=["plain", "tls", "drip", "million", "ten-gib"])
    wanted = parser.parse_args()
    wanted.folder.mkdir(exist_ok=True)
    steps: dict[str, Callable[[], None]] = {
        "plain": lambda: exchanges_step(wanted.folder, wanted.exchanges, tls=False),
        "tls": lambda: exchanges_step(wanted.folder, wanted.exchanges, tls=True),
        "drip": lambda: drip(wanted.folder),
        "million": lambda: streamed(
            "million", lambda pipe: wire_traffic.write_syns(pipe, 1_000_000), 4 * GIB
        ),
        "ten-gib": lambda: streamed(
            "ten-gib",
            lambda pipe: wire_traffic.write_repeated(pipe, wanted.folder / "plain.pcapng", 10 * GIB),
            4 * GIB,
        ),
    }
    for step in wanted.steps:
        steps[step]()


if __name__ == "__main__":
    main()
