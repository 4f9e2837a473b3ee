"""How long a line takes from being written to being shown on the board.

Rule: the board's own text is what counts: a mark is on it when its figure of lines handled includes the mark.
"""

import asyncio
import threading
import time
from pathlib import Path

from textual.widgets import Static

from trivet.insight.logs.alert import AlertRule
from trivet.io.log_tail import LogTail
from trivet.monitor.logs.board import LogBoard
from trivet.monitor.logs.live import LiveLogs

_STEP_S = 0.01


def _lines(count: int, first: int) -> bytes:
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    return b"".join(
        f'10.0.{k % 250}.1 - - [{stamp}] "GET /a/{k % 5000} HTTP/1.1" 200 100 "-" "x"\n'.encode()
        for k in range(first, first + count)
    )


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


def _write(path: Path, rate: int, for_s: float, marks: list[tuple[int, float]]) -> None:
    """Append `rate` lines a second; note (lines so far, when) after each write."""
    count, total = int(rate * _STEP_S), 0
    began_s = time.monotonic()
    with path.open("ab", buffering=0) as out:
        while time.monotonic() - began_s < for_s:
            out.write(_lines(count, total))
            total += count
            marks.append((total, time.monotonic()))
            behind = total / rate - (time.monotonic() - began_s)
            if behind > 0:
                time.sleep(behind)


async def _measure(path: Path, rate: int, for_s: float) -> list[float]:
    marks: list[tuple[int, float]] = []
    shown: list[tuple[int, float]] = []
    board = LogBoard(LiveLogs(LogTail([str(path)]), AlertRule()), [], 10, None)
    async with board.run_test(size=(140, 40)) as pilot:
        figures = board.query_one("#figures", Static)
        update = figures.update

        def noted(content: object = "", *, layout: bool = True) -> None:
            update(content, layout=layout)
            shown.append((int(str(content).split(" ", 1)[0].replace(",", "") or 0), time.monotonic()))

        figures.update = noted  # type: ignore[assignment, method-assign]
        _append(path, _lines(1, 0))
        while not shown or shown[-1][0] < 1:
            await pilot.pause(0.1)
        first = shown[-1][0]
        writer = threading.Thread(target=_write, args=(path, rate, for_s, marks))
        writer.start()
        while writer.is_alive() or shown[-1][0] - first < marks[-1][0]:
            await pilot.pause(0.1)
        writer.join()
        board.exit()
    delays, place = [], 0
    for total, written_s in marks:
        while shown[place][0] - first < total:
            place += 1
        delays.append(shown[place][1] - written_s)
    return delays


def measure(path: Path, rate: int, for_s: float) -> list[float]:
    """Return the delay of every write to `path`, in seconds."""
    path.write_bytes(b"")
    try:
        return asyncio.run(_measure(path, rate, for_s))
    finally:
        path.unlink()
