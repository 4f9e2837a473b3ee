"""The board shows what comes, can be paused and filtered, and lets one look behind a row."""

import time
from pathlib import Path
from typing import Any

from textual.widgets import DataTable, Input, Static

from trivet.errors import InputError
from trivet.insight.logs.alert import AlertRule
from trivet.io.log_tail import LogTail
from trivet.monitor.logs.board import LogBoard
from trivet.monitor.logs.live import LiveLogs

LINE = '%s - - [03/Jun/2024:10:00:00 +0000] "GET %s HTTP/1.1" 200 100 "-" "x"\n'


def rows(board: LogBoard, name: str) -> list[str]:
    """Return the last column of a table."""
    table: DataTable[Any] = board.query_one(f"#{name}", DataTable)
    return [str(table.get_row_at(k)[-1]) for k in range(table.row_count)]


async def until(pilot: Any, done: Any) -> None:
    """Wait until `done()` is true, at most 60 s."""
    ends_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < ends_s
        await pilot.pause(0.05)


async def test_the_board(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    made = [LINE % ("10.0.0.1", "/api/x")] * 3 + [LINE % ("10.0.0.2", "/blog/y")] * 2 + ["junk\n"]
    path.write_text("".join(made))
    board = LogBoard(LiveLogs(LogTail([str(path)], True), AlertRule()), [], 0.2, None)
    async with board.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: rows(board, "sections") == ["/api", "/blog"])
        figures = lambda: str(board.query_one("#figures", Static).content)  # noqa: E731
        await until(pilot, lambda: "6 lines handled, 0 waiting, 1 malformed" in figures())
        assert rows(board, "ips") == ["10.0.0.1", "10.0.0.2"]

        await pilot.press("down", "enter")
        await until(pilot, lambda: rows(board, "sections") == ["/blog"])
        assert (rows(board, "ips"), rows(board, "urls")) == (["10.0.0.2"], ["/blog/y"])
        await pilot.press("escape")
        await until(pilot, lambda: rows(board, "urls") == ["/api/x", "/blog/y"])

        await pilot.press("slash", *"api")
        await until(pilot, lambda: rows(board, "urls") == ["/api/x"])
        assert board.query_one("#filter", Input).value == "api"
        await pilot.press("escape")
        await until(pilot, lambda: rows(board, "urls") == ["/api/x", "/blog/y"])

        await pilot.press("p")
        with path.open("a") as out:
            out.write(LINE % ("10.0.0.3", "/new/z"))
        await until(pilot, lambda: "7 lines handled" in figures() and "PAUSED" in figures())
        assert rows(board, "sections") == ["/api", "/blog"]
        await pilot.press("p")
        await until(pilot, lambda: rows(board, "sections") == ["/api", "/blog", "/new"])
        await pilot.press("q")


async def test_the_board_ends_where_reading_cannot_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "2014-12-04 21:02:31 LAX1 392 192.0.2.100 GET example.org /x 200 - curl - -\n",
    )
    board = LogBoard(LiveLogs(LogTail([str(path)], True), AlertRule(), "kernel", "cloudfront"), [], 1, None)
    async with board.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: board.failed is not None)
    assert isinstance(board.failed, InputError)
    assert "leave --engine out" in str(board.failed)
