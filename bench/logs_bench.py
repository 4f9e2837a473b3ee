"""Access logs measured: a 1 GiB log against one awk count, the live rate, the way from line to board.

    python bench/logs_bench.py batch      # needs mawk; goaccess where it is 1.11 or newer
    python bench/logs_bench.py live       # 300,000 lines/s through the real tail, alerts on
    python bench/logs_bench.py latency    # from a written line to the figures on the board
    python bench/logs_bench.py study      # parse in the reader or in the consumer?

Rule: contestants take turns on the same file; medians are compared, and only ratios of one run are goals.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from logs_study import study

HERE = Path(__file__).resolve().parent
TRIVET = [sys.executable, "-m", "trivet"]
AWK = 'mawk \'{c[$1" "$7]++} END{for(k in c)print c[k],k}\' "$0" | sort -n | tail -20'


def timed(argv: list[str]) -> tuple[float, float, bytes]:
    """Run `argv` and return (seconds, peak memory in MiB, what it printed)."""
    began_s = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{argv[0]} ended with {status}")
    return time.monotonic() - began_s, usage.ru_maxrss / 1024, out


def log_of(size: str, folder: Path) -> Path:
    """Return a generated log of `size` with seed 1, made in `folder` where it is not there yet."""
    path = folder / f"mklog-{size}.log"
    if not path.with_name(path.name + ".truth.json").exists():
        subprocess.run([sys.executable, HERE / "mklog.py", path, "--size", size, "--seed", "1"], check=True)
    return path


def wrong_fields(path: Path, said: dict[str, Any]) -> list[str]:
    """Return the names of the truth file's fields that were said otherwise."""
    truth = json.loads(Path(f"{path}.truth.json").read_text())
    return [name for name, value in truth.items() if name in said and said[name] != value]


def goaccess() -> str | None:
    """Return goaccess where it is 1.11 or newer."""
    program = shutil.which("goaccess")
    if program:
        version = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) >= (1, 11):
            return program
    return None


def batch(size: str, folder: Path, turns: int) -> None:
    """Compare the whole job with one count by awk."""
    path = log_of(size, folder)
    contestants = {
        "kernel": [*TRIVET, "logs", str(path), "--json", "--engine", "kernel"],
        "mawk, one count": ["sh", "-c", AWK, str(path)],
    }
    if program := goaccess():
        contestants["goaccess"] = [program, str(path), "--log-format=COMBINED", "-o", "json", "--no-progress"]
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    memory: dict[str, float] = {}
    for _ in range(turns):
        for name, argv in contestants.items():
            took, memory[name], out = timed(argv)
            seconds[name].append(took)
            if name == "kernel":
                print("fields that differ from the truth:", wrong_fields(path, json.loads(out)) or "none")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        all_of = " ".join(f"{value:.1f}" for value in seconds[name])
        ratio = median / medians["kernel"]
        print(f"{name:16} {median:6.1f} s ({all_of})  {memory[name]:6.0f} MiB  {ratio:.1f} x")


def live(rate: int, for_s: float, folder: Path) -> None:
    """Follow a log that grows by `rate` lines a second, alerts on, on one core."""
    path = folder / "live.log"
    path.unlink(missing_ok=True)
    path.touch()
    follower = [*TRIVET, "logs", str(path), "--follow", "--json", "--every", "1", "--for", str(for_s + 12)]
    one_core = {0}
    reader = subprocess.Popen(
        follower, stdout=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, one_core)
    )
    time.sleep(5)
    made = ["--factor", "100", "--malformed", "0.01", "--for", str(for_s), "--rate", str(rate)]
    writer = subprocess.run(
        [*TRIVET, "logs", "generate", str(path), *made], stderr=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, {1}),
    )  # fmt: skip
    assert reader.stdout is not None
    events = [json.loads(line) for line in reader.stdout.read().splitlines()]
    _, _, usage = os.wait4(reader.pid, 0)
    periods = [event for event in events if event["event"] == "period"]
    written = int(re.search(rb"(\d+) lines", writer.stderr)[1])  # type: ignore[index]
    print(writer.stderr.decode().strip())
    print(f"handled {periods[-1]['lines_handled']} of {written}, malformed {periods[-1]['malformed']}")
    print(f"most lines waiting at a period's end: {max(period['lines_waiting'] for period in periods)}")
    cpu_s = usage.ru_utime + usage.ru_stime
    mib = usage.ru_maxrss / 1024
    print(f"reader: {cpu_s:.1f} s of CPU, {written / cpu_s:.0f} lines a CPU second, {mib:.0f} MiB")
    path.unlink()


def latency(rate: int, for_s: float, folder: Path) -> None:
    """Measure how long a line takes from being written to being shown, at `rate` lines a second."""
    from line_to_board import measure

    delays = sorted(measure(folder / "latency.log", rate, for_s))
    middle, high = delays[len(delays) // 2], delays[int(len(delays) * 0.99)]
    print(f"{len(delays)} marks at {rate} lines/s: median {middle * 1e3:.0f} ms, p99 {high * 1e3:.0f} ms, "
          f"longest {delays[-1] * 1e3:.0f} ms")  # fmt: skip


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Measure trivet logs.")
    parser.add_argument("what", choices=["batch", "live", "latency", "study"])
    parser.add_argument("--size", default="1GiB")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--rate", type=int, default=300_000)
    parser.add_argument("--for", type=float, default=60.0, dest="for_s")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    a = parser.parse_args()
    if a.what == "batch":
        batch(a.size, a.folder, a.turns)
    elif a.what == "live":
        live(a.rate, a.for_s, a.folder)
    elif a.what == "latency":
        latency(min(a.rate, 10_000), min(a.for_s, 20.0), a.folder)
    else:
        study(a.turns)
    print(f"machine: {os.cpu_count()} cores, page size {resource.getpagesize()}")


if __name__ == "__main__":
    main()
