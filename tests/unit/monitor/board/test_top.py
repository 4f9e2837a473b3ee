"""`trivet top` under Textual's pilot: real sockets that answer as a drive does, real files of its door."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from trivet.cli.main import run
from trivet.io.control_socket import serve_control
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.monitor.board import panels, top
from trivet.monitor.board.top import TopBoard
from trivet.monitor.runs.waypoint_store import WaypointStore
from trivet.wire.board_frames import MotionBar
from trivet.wire.control_messages import BankStatus, Children, Finding, RepairHistory, ServerStatus, Status
from trivet.wire.health_messages import DriveFigures, MachineFigures, ProcessFigures

MACHINE = MachineFigures(2, 50.0, 40.0, 8 << 30, 4 << 30, 0, 0)
REPAIR = Finding("fixed", "/[red]plan\x1b[31m.txt", "page", 7000, "checksum differs", time.time(), 8000)


def process(pid: int, name: str, cpu: float, rss: int) -> ProcessFigures:
    return ProcessFigures(pid, 1, name.split()[0], name, cpu, rss, None, pid, 1, None, None, 60.0)


class FakeAnswers:
    """What the two sockets answer; a test changes it and looks at the board."""

    def __init__(self) -> None:
        servers = [BankStatus(base, [ServerStatus(base, "up")]) for base in (7000, 8000, 9000)]
        self.status = Status("v", True, servers, refresh_age_s=3.0, repaired_total=1)
        self.figures = DriveFigures(time.time(), 1.0, MACHINE, [
            process(11, "keeper", 90.0, 30 << 20), process(12, "supervisor", 5.0, 90 << 20)])  # fmt: skip

    def answering(self, told: Any) -> Any:
        async def answer(_: object, __: object) -> Any:
            return msgspec.to_builtins(told())

        return answer


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    made = VolumeFolder(tmp_path / "state")
    made.create(VolumeConfig("00" * 8, [7000, 8000, 9000], 1))
    made.keeper_path.mkdir()
    made.gateway_path.mkdir()
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    line = f'10.0.0.7 - ann [{stamp}] "GET /api/v1/x HTTP/1.1" 200 5 "-" "-" 0.010000 01\n'
    (made.gateway_path / "access.log").write_text(line * 130)
    store = WaypointStore(made.gateway_path / "runs")
    tags = json.dumps({"queue": "upload", "requestor": "ann"})
    store.append([("r", name, time.time_ns() + place, "door", place, tags)
                  for place, name in enumerate(("request", "queue_start"))])  # fmt: skip
    store.close()
    return made


@pytest.fixture
async def drive(folder: VolumeFolder) -> AsyncIterator[FakeAnswers]:
    told = FakeAnswers()
    keeper = {
        "status": told.answering(lambda: told.status),
        "repairs": told.answering(lambda: RepairHistory([REPAIR])),
    }
    up = {"children": told.answering(lambda: Children([])), "processes": told.answering(lambda: told.figures)}
    async with serve_control(folder.keeper_socket, keeper), serve_control(folder.supervisor_socket, up):
        yield told


async def printed(
    folder: VolumeFolder, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(run, ["top", *words, "--state", str(folder.path)])
    told = capsys.readouterr()
    return code, told.out, told.err


def shown(board: TopBoard, name: str) -> str:
    region = board.query_one(f"#{name}", Static).region
    lines = board.screen._compositor.render_strips()
    return "\n".join(strip.text[region.x : region.right] for strip in lines[region.y : region.bottom])


async def until(pilot: Pilot[str], board: TopBoard, name: str, words: str) -> str:
    async with asyncio.timeout(20):
        while words not in (text := shown(board, name)):
            await pilot.pause(0.05)
    return text


async def test_the_board_shows_and_sorts(folder: VolumeFolder, drive: FakeAnswers) -> None:
    board = TopBoard(folder)
    async with board.run_test(size=(200, 70)) as pilot:
        await until(pilot, board, "verdict", "All is well: 3 of 3 banks")
        await until(pilot, board, "verdict", "10.0.0.7 asks for /api/v1/x 130 times a minute: a loop?")
        await until(
            pilot, board, "banks", "/[red]plan\\x1b[31m.txt: page on 7000 checksum differs, repaired from"
        )
        await until(pilot, board, "traffic", "/api")
        await until(pilot, board, "motion", "upload ann")
        text = await until(pilot, board, "processes", "ordered by name")
        assert text.index("supervisor") < text.index("keeper")
        await pilot.press("s")
        text = await until(pilot, board, "processes", "ordered by CPU")
        assert text.index("keeper") < text.index("supervisor")
        await pilot.press("s")
        text = await until(pilot, board, "processes", "ordered by memory")
        assert text.index("supervisor") < text.index("keeper")
        servers = [BankStatus(7000, [ServerStatus(7000, "down")]), *drive.status.banks[1:]]
        drive.status = Status("v", False, servers)
        await until(pilot, board, "verdict", "1 of 3 banks is away (7000)")
        await pilot.press("q")
    assert board.return_value is None
    assert board.failed is None


async def test_on_a_narrow_terminal_the_panels_stand_one_below_the_other(
    folder: VolumeFolder, drive: FakeAnswers
) -> None:
    board = TopBoard(folder)
    async with board.run_test(size=(80, 120)) as pilot:
        await until(pilot, board, "banks", "7000 up")
        banks, traffic = (board.query_one(f"#{name}", Static).region for name in ("banks", "traffic"))
        assert traffic.y >= banks.bottom
        assert banks.width == traffic.width >= 78
        await pilot.resize_terminal(160, 120)
        async with asyncio.timeout(20):
            while board.query_one("#traffic", Static).region.y != board.query_one("#banks", Static).region.y:
                await pilot.pause(0.05)


def test_a_run_too_short_for_one_cell_is_seen() -> None:
    one = MotionBar("7", "repair", "/a", 0.0, 0.1, [("queue", 0.02), ("repair", 0.08)])
    assert panels._bar(one, 12.0).plain == "r"
    assert panels._bar(one, 0.1).plain == "q" * 5 + "r" * 19


async def test_it_ends_with_words_when_the_drive_is_stopped(
    folder: VolumeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "GONE_S", 0.5)
    board = TopBoard(folder)
    async with board.run_test():
        async with asyncio.timeout(20):
            while board.is_running:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert board.return_value == "the drive was stopped"


async def test_one_frame_for_scripts(
    folder: VolumeFolder, drive: FakeAnswers, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, _ = await printed(folder, capsys, "--once")
    assert code == 0
    for words in (
        "All is well: 3 of 3 banks",
        "Banks and repairs",
        "/api",
        "a loop?",
        "upload ann",
        "keeper",
    ):
        assert words in text
    assert "/[red]plan\\x1b[31m.txt" in text
    assert "\x1b" not in text
    drive.status = Status("v", False, drive.status.banks, open_damage=2)
    code, text, _ = await printed(folder, capsys, "--json")
    assert code == 1
    assert json.loads(text)["verdict"]["sentence"] == "The drive works; 2 copies are damaged or out of date."
    code, _, error = await printed(folder, capsys)
    assert (code, "--once prints one frame" in error) == (2, True)


async def test_a_drive_that_does_not_run(folder: VolumeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("--once", "--json"):
        code, _, error = await printed(folder, capsys, words)
        assert code == 3
        assert f"the drive in {folder.path} is not running; `trivet up" in error
