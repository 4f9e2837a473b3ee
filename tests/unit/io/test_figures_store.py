"""The series of what processes used: bounded, whole after a kill, begun anew when damaged."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.errors import TrivetError
from trivet.io.figures_reading import VALUES, read_series
from trivet.io.figures_store import LEVELS, MACHINE, PROCESSES, FigureRow, FiguresStore

HOUR_S, DAY_S = 3600, 86400
BEGAN_S = 1_700_000_000 // DAY_S * DAY_S


def keeper(cpu: float | None, memory: float, pid: int = 7) -> FigureRow:
    return FigureRow("keeper", "keeper", pid, cpu, memory, 9)


def rows_in(path: Path) -> dict[int, int]:
    """Return how many rows of each step length the file holds."""
    with sqlite3.connect(path) as db:
        return dict(db.execute("SELECT step, count(*) FROM figures GROUP BY step"))


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety-five days of a keeper and the machine, a step each hour, then an hour of all steps."""
    path = tmp_path_factory.mktemp("figures") / "processes.sqlite"
    store = FiguresStore(path)
    end_s = BEGAN_S + 95 * DAY_S
    for at_s in [*range(BEGAN_S, end_s, HOUR_S), *range(end_s, end_s + HOUR_S + 1, 10)]:
        day = (at_s - BEGAN_S) // DAY_S
        store.add(at_s, [FigureRow(MACHINE, "", 0, 50.0, 25.0, None), keeper(day, 1000.0 * day)])
    store.close()
    return path


def test_each_length_of_step_is_kept_for_its_time_and_no_longer(long_lived: Path) -> None:
    found = rows_in(long_lived)
    assert set(found) == {level.step_s for level in LEVELS}
    for level in LEVELS:
        assert 2 < found[level.step_s] <= 2 * (level.kept_s // level.step_s + 1)
    assert found[LEVELS[-1].step_s] >= 2 * 89 * 24


def test_a_series_of_any_length_is_told_in_so_many_values(long_lived: Path) -> None:
    now_s = BEGAN_S + 95 * DAY_S + HOUR_S
    for span_s, step_s in ((HOUR_S, 10), (DAY_S, 180), (80 * DAY_S, 12600)):
        told = read_series(long_lived, now_s - span_s, now_s)
        assert told.step_s == step_s
        assert len(told.at_s) <= VALUES + 2
        assert told.at_s[0] <= now_s - span_s + step_s + HOUR_S
        assert told.at_s[-1] >= now_s - step_s - 2 * 1800
        assert set(told.machine_cpu_percent) == {50.0}
        assert set(told.machine_memory_percent) == {25.0}
        (only,) = told.processes
        assert (only.name, only.pid) == ("keeper", 7)
        days = [(at_s - BEGAN_S) // DAY_S for at_s in told.at_s]
        assert only.cpu_percent == pytest.approx(days, abs=1)
        assert only.rss_bytes == pytest.approx([1000 * day for day in days], abs=1000)


def test_cpu_is_the_mean_and_memory_the_most_of_longer_steps(tmp_path: Path) -> None:
    store = FiguresStore(tmp_path / "f")
    for place, (cpu, memory) in enumerate([(0.0, 5.0), (90.0, 50.0), (None, 7.0)]):
        store.add(BEGAN_S + 10 * place, [keeper(cpu, memory)])
    store.add(BEGAN_S + 60, [keeper(1.0, 1.0, pid=8)])
    store.close()
    told = read_series(tmp_path / "f", BEGAN_S, BEGAN_S + DAY_S)
    assert told.step_s == 180
    told = read_series(tmp_path / "f", BEGAN_S, BEGAN_S + 7 * HOUR_S)
    assert told.step_s == 60
    assert told.processes[0].cpu_percent == [45.0]  # the minute that is not over is not told yet
    assert told.processes[0].rss_bytes == [50]


def test_what_is_many_is_bounded_and_what_ran_only_for_a_while_has_holes(tmp_path: Path) -> None:
    store = FiguresStore(tmp_path / "f")
    store.add(BEGAN_S, [FigureRow("helper", f"h{n}", n, 1.0, 1.0, 1) for n in range(2 * PROCESSES)])
    store.add(BEGAN_S + 10, [keeper(2.0, 2.0)])
    store.close()
    assert rows_in(tmp_path / "f") == {10: PROCESSES + 1}
    told = read_series(tmp_path / "f", BEGAN_S, BEGAN_S + 60)
    assert (len(told.processes), told.left_out) == (PROCESSES, 1)
    assert told.processes[0].cpu_percent == [None, 2.0]
    assert told.processes[1].rss_bytes == [1, None]


def test_a_clock_that_was_wrong_leaves_nothing_behind(tmp_path: Path) -> None:
    store = FiguresStore(tmp_path / "f")
    store.add(BEGAN_S + 5 * 365 * DAY_S, [keeper(1.0, 1.0)])
    for second in range(0, 2 * HOUR_S, 10):
        store.add(BEGAN_S + second, [keeper(3.0, 3.0)])
    store.add(BEGAN_S + HOUR_S, [keeper(4.0, 4.0)])  # an hour back
    store.close()
    told = read_series(tmp_path / "f", BEGAN_S, BEGAN_S + 6 * 365 * DAY_S)
    (only,) = told.at_s
    assert BEGAN_S - told.step_s <= only <= BEGAN_S
    told = read_series(tmp_path / "f", BEGAN_S, BEGAN_S + 3 * HOUR_S)
    assert told.at_s[-1] == BEGAN_S + HOUR_S
    assert told.processes[0].cpu_percent[-1] == 4.0


_WRITES = """
import sys
from pathlib import Path
from trivet.io.figures_store import FigureRow, FiguresStore
store = FiguresStore(Path(sys.argv[1]))
for step in range(10**9):
    store.add(1_700_000_000 + 10 * step, [FigureRow("keeper", "keeper", 7, 1.0, float(step), 9)])
    print(step, flush=True)
"""


def test_killed_in_the_middle_nothing_that_was_added_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with subprocess.Popen([sys.executable, "-c", _WRITES, path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(300):
            added = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        added = max([added, *(int(line) for line in child.stdout.read().splitlines() if line.isdigit())])
    now_s = 1_700_000_000 + 10 * added
    told = read_series(path, now_s - 1000, now_s)
    assert added in told.processes[0].rss_bytes
    store = FiguresStore(path)
    store.add(now_s + 20, [keeper(1.0, 1.0)])
    store.close()
    assert len(read_series(path, now_s - 1000, now_s + 20).at_s) > len(told.at_s) - 3


@pytest.mark.parametrize("damage", [b"this was never a database", None])
def test_a_damaged_file_is_begun_anew_and_one_that_can_t_be_made_is_told(
    tmp_path: Path, damage: bytes | None
) -> None:
    path = tmp_path / "f"
    store = FiguresStore(path)
    for second in range(0, 20_000, 10):
        store.add(BEGAN_S + second, [keeper(1.0, 1.0)])
    store.close()
    kept = path.read_bytes()
    path.write_bytes(damage or kept[:8192] + os.urandom(8192) + kept[16384:])
    store = FiguresStore(path)
    store.add(BEGAN_S, [keeper(2.0, 2.0)])
    store.close()
    assert read_series(path, BEGAN_S, BEGAN_S + 60).processes[0].cpu_percent == [2.0]
    with pytest.raises(TrivetError, match="nowhere"):
        FiguresStore(tmp_path / "nowhere" / "f")
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(TrivetError, match=r"the series of processes .*f: "):
        read_series(path, BEGAN_S, BEGAN_S + 60)
