"""How long a report over five years of two places takes: reading, rows, and each kind of chart.

python bench/uptime_years.py
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from trivet.insight.duration_histogram import counts_of
from trivet.insight.uptime import Hour, report_rows
from trivet.io.uptime_store import UptimeStore
from trivet.monitor.uptime_view import write_report

YEARS = 5
HOURS = YEARS * 8766
FIRST = 1_577_836_800 // 3600  # 2020-01-01


def fill(store: UptimeStore) -> None:
    """Store a probe a minute from two places over YEARS."""
    rng = np.random.default_rng(1)
    for place in ("london", "newark"):
        hours = []
        for k in range(HOURS):
            took = rng.lognormal(4.6, 0.8, 60)
            slow, very_slow = int((took > 1000).sum()), int((took > 10_000).sum())
            hours.append(Hour(FIRST + k, 60, 60, slow, very_slow, counts_of(took)))
        store.add_hours(place, "https://service.example/", hours, head=b"", lines=0)


def timed(what: str, work: Callable[[], object]) -> None:
    """Print the best of three runs of `work`."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    print(f"{what:<34} {best:6.2f} s")


def main() -> None:
    """Fill a store and time the reports."""
    with tempfile.TemporaryDirectory() as folder:
        store = UptimeStore(Path(folder) / "uptime.sqlite")
        fill(store)
        until = float((FIRST + HOURS) * 3600)
        print(f"{2 * HOURS:,} hours stored, {store.path.stat().st_size / 2**20:.0f} MiB")
        series = store.read(since=0, until=until)
        rows = report_rows(series, "month")
        timed("read five years", lambda: store.read(since=0, until=until))
        for by in ("month", "day", "hour"):
            timed(f"rows by {by}", lambda by=by: report_rows(series, by))
        for suffix in ("svg", "png", "html"):
            out = Path(folder) / f"chart.{suffix}"
            timed(f"chart of months, {suffix}", lambda out=out: write_report(out, rows, series, "month"))
        store.close()


if __name__ == "__main__":
    main()
