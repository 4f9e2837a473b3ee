"""Statistics of test runs beside the two old ways, and a million runs: prints times and ratios.

Usage: python bench/events_bench.py [--million]. Query time alone; every contestant gets the same events
as its own kind of table. Each measurement of a million runs is a process of its own, so memory is its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from events_scans import make_table, masks, object_scan, to_objects
from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.cleaning import Rules, clean
from trivet.insight.runs.event_table import EventTable, seconds_to_ns
from trivet.insight.runs.phases import TEST_RUN_PHASES, WAYPOINTS
from trivet.insight.runs.statistics import RunStatistics, run_statistics
from trivet.monitor.runs.emitter import Emitter
from trivet.monitor.runs.event_store import EventStore

MICROSECOND = 1e-6


def event_table(table: np.ndarray) -> EventTable:
    """The record array as our table."""
    names = np.array(WAYPOINTS, "S12")
    order = np.argsort(names)
    return EventTable(
        [str(run) for run in range(int(table["run"].max()) + 1)],
        WAYPOINTS,
        table["run"].astype(np.int32),
        order[np.searchsorted(names[order], table["name"])].astype(np.int16),
        seconds_to_ns(table["emit"]),
        seconds_to_ns(table["receive"]),
    )


def ours(table: EventTable) -> RunStatistics:
    """Cleaning and all statistics, percentiles included."""
    return run_statistics(clean(table, Rules(), time.time_ns()), TEST_RUN_PHASES)


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The best of `repeats` times of `work`, for what else goes on only ever adds; and what it gave."""
    seconds, result = [], None
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result


def apart(old: dict[str, dict[str, float]], new: RunStatistics) -> float:
    """The largest difference of any figure, in seconds."""
    return max(
        abs(value - float(entry.summary[name] or 0))
        for entry in new.phases
        for name, value in old[entry.phase.name].items()
    )


def against_the_old_ways(runs: int, *, scan: bool) -> None:
    """Print our time beside that of the masks and, for few runs, of the object scan."""
    table = make_table(runs)
    mine = event_table(table)
    ours_s, result = timed(lambda: ours(mine), 25)
    masks_s, old = timed(lambda: masks(table), 5)
    difference = apart(old, result)
    ratio = masks_s / ours_s
    print(f"{runs:>9,} runs: ours {ours_s * 1e3:.2f} ms, masks {masks_s * 1e3:.2f} ms = {ratio:.1f} x")
    if scan:
        events = to_objects(table)
        scan_s, old = timed(lambda: object_scan(events), 1)
        difference = max(difference, apart(old, result))
        print(f"{'':>15} object scan {scan_s:.2f} s = {scan_s / ours_s:,.0f} x")
    print(f"{'':>15} largest difference of any figure {difference * 1e6:.3f} us")
    assert difference <= MICROSECOND


def seal_a_million(folder: Path) -> None:
    """Keep ten million events in a store."""
    table = event_table(make_table(1_000_000))
    store = EventStore(folder)
    seconds, added = timed(lambda: store.append_table(table), 1)
    size = sum(path.stat().st_size for path in folder.glob("segment-*"))
    print(f"{added:,} events sealed in {seconds:.1f} s, {size / added:.2f} bytes each")


def analyse_a_million(folder: Path) -> None:
    """Statistics and pages over the store of ten million events, and the memory that this took."""
    store = EventStore(folder, create=False)
    scan_s, table = timed(lambda: store.scan(identities=False), 1)
    print(f"read from the store {scan_s:.2f} s")
    statistics_s, result = timed(lambda: ours(table), 5)
    events = clean(table, Rules(), time.time_ns())
    order_s, pages = timed(lambda: BarPages(events, TEST_RUN_PHASES), 3)
    page_s, _ = timed(lambda: pages.page(25_000), 9)
    print(f"{result.runs:,} runs, {result.events:,} events: all statistics {statistics_s:.2f} s")
    print(f"order of the runs {order_s * 1e3:.0f} ms, a page {page_s * 1e3:.0f} ms")
    print(f"peak memory of this process {peak_mib()} MiB")


def peak_mib() -> int:
    """The most memory this process has had; getrusage would count what its parent held at the fork too."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) >> 10


def emitting(events: int = 50_000) -> None:
    """The cost of an event to the program that emits it."""
    with tempfile.TemporaryDirectory() as folder, Emitter(Path(folder) / "store") as emitter:
        run = emitter.run("bench", device_group="phones")
        costs = []
        for _ in range(events):
            begin = time.perf_counter_ns()
            run.event("x")
            costs.append(time.perf_counter_ns() - begin)
    at = np.percentile(costs, [50, 99])
    print(f"emit: median {at[0] / 1e3:.2f} us, p99 {at[1] / 1e3:.2f} us an event")


def main() -> None:
    """Run the measurements that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also a million runs")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        {"seal": seal_a_million, "analyse": analyse_a_million}[options.child[0]](Path(options.child[1]))
        return
    print(json.dumps({"python": sys.version.split()[0], "numpy": np.__version__}))
    against_the_old_ways(1_000, scan=True)
    against_the_old_ways(10_000, scan=False)
    emitting()
    if options.million:
        with tempfile.TemporaryDirectory() as folder:
            for step in ("seal", "analyse"):
                subprocess.run([sys.executable, __file__, "--child", step, folder], check=True)


if __name__ == "__main__":
    main()
