"""What the looks find is kept: means of ten seconds, written beside the looks, also when the disk fails."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trivet.io.figures_reading import read_series
from trivet.supervise.figures_keeping import FiguresKeeping
from trivet.wire.health_messages import MachineFigures, ProcessFigures

NOW_S = 1_700_000_000.0
MACHINE = MachineFigures(2, 50.0, 25.0, 100, 75, 0, 0)


def helper(pid: int, cpu: float | None, rss: int, name: str = "sh of keeper") -> ProcessFigures:
    return ProcessFigures(pid, 1, "helper", name, cpu, rss, None, 3, 1, None, None, 1.0)


@contextlib.asynccontextmanager
async def keeping(path: Path) -> AsyncIterator[FiguresKeeping]:
    """Keep what is taken in the block in the file `path`; all of it is there at the end."""
    made = FiguresKeeping(path)
    task = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_means_of_all_looks_of_a_step_and_processes_of_one_name_together(tmp_path: Path) -> None:
    async with keeping(tmp_path / "f") as kept:
        for second, cpu in enumerate([None, 10.0, 50.0]):
            kept.take(NOW_S + second, MACHINE, [helper(7, cpu, 100 + second), helper(8, cpu, 1000)])
        kept.take(NOW_S + 10, MACHINE, [helper(8, 1.0, 5)])
    told = read_series(tmp_path / "f", NOW_S, NOW_S + 60)
    assert told.at_s == [NOW_S, NOW_S + 10]
    assert told.machine_cpu_percent == [50.0, 50.0]
    (both,) = told.processes
    assert both.cpu_percent == [60.0, 1.0]
    assert both.rss_bytes == [1102, 5]
    assert both.handles == [6, 3]


async def test_a_disk_that_fails_is_told_once_and_costs_only_what_it_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "away" / "f"
    with caplog.at_level(logging.WARNING):
        async with keeping(place) as kept:
            for second in range(0, 100, 10):
                kept.take(NOW_S + second, MACHINE, [])
                await asyncio.sleep(0.02)
            async with asyncio.timeout(20):
                while True:
                    if caplog.records:
                        break
                    await asyncio.sleep(0.01)
            place.parent.mkdir()
            kept.take(NOW_S + 100, MACHINE, [])
            kept.take(NOW_S + 110, MACHINE, [])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    told = read_series(place, NOW_S, NOW_S + 200)
    assert told.at_s[-2:] == [NOW_S + 100, NOW_S + 110]
