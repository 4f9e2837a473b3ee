"""The live board in real Chromium over a real drive: what is broken shows on the page, in words.

Rule: one drive for the whole module; each test leaves it whole.
"""

import contextlib
import itertools
import json
import math
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, CDPSession, Page, WebSocket, expect

from door_under_test import Door, open_door
from terminal import terminal

WELL = "All is well: 3 of 3 banks, everything has three copies, last check"
#: Minutes of frames, drawn as fast as they can be.
WARM_UP, FRAMES = 100, int(os.environ.get("TRIVET_BOARD_FRAMES", "500"))
#: When the first paint with something in it was; just now if nobody has noted it yet.
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? performance.now()"
_DRAW = """async ([frame, count]) => {
  const { boardIn } = await import("/page/board.js");
  const place = window.drawn ??= document.body.appendChild(document.createElement("div"));
  const board = window.board ??= boardIn(place);
  for (let n = 0; n < count; n += 1) {
    const told = structuredClone(frame);
    told.traffic.per_second.push(n % 50);
    told.traffic.hits = n;
    told.floods.pairs[0].client = `10.0.0.${n % 250}`;
    told.verdict.sentence = `All is well: last check ${n} s ago.`;
    told.figures.processes.forEach((one) => { one.cpu_percent = n % 100; one.elapsed_s = n; });
    told.bars.forEach((one) => { one.run = `${n}`; one.total_s = n % 7; });
    told.look = n % 3 ? [`line ${n}`] : [];
    if (n % 5 === 0) delete told.upstreams;
    board.draw(told);
  }
}"""


@pytest.fixture(scope="module")
def drive_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("board"), "--refresh", "1") as door:
        door.put("plan.txt", b"words" * 20_000)
        yield door


class Board:
    """The board as one person sees it; `frames` are what the door sent."""

    def __init__(self, browser: Browser, door: Door, **looks: object) -> None:
        self.context = browser.new_context(**looks)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.frames: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", self._listen)
        self.door = door
        self.page.goto(f"{door.address}/#/board")

    def _listen(self, socket: WebSocket) -> None:
        if socket.url.endswith("/board"):
            socket.on("framereceived", lambda text: self.frames.append(json.loads(text)))

    def tools(self) -> CDPSession:
        return self.context.new_cdp_session(self.page)

    def close(self) -> None:
        self.context.close()
        assert self.failures == []
        assert [url for url in self.asked if not url.startswith(self.door.address)] == []


@pytest.fixture(scope="module")
def shown(browser: Browser, drive_door: Door) -> Iterator[Board]:
    """One page for the whole module, as it stands open on somebody's second screen."""
    opened = Board(browser, drive_door)
    yield opened
    opened.close()


@pytest.fixture
def board(shown: Board) -> Board:
    """That page, at the board, when all is well."""
    shown.page.evaluate("location.hash = '#/board'")
    expect(shown.page.locator("#sentence")).to_contain_text(WELL)
    shown.frames.clear()
    return shown


def test_all_is_well_within_a_second_and_stays_live(board: Board) -> None:
    page = board.page
    expect(page.get_by_role("link").nth(2)).to_have_text("Board")  # after the skip link and the name
    expect(page.get_by_role("status").first).to_contain_text("All is well: 3 of 3 banks")
    for title in ("Banks and repairs", "Traffic", "Who asks most", "Transfers and repairs", "Processes"):
        expect(page.get_by_role("region", name=title)).to_be_visible()
    expect(page.get_by_role("region", name="Processes")).to_contain_text("keeper")
    expect(page.get_by_role("region", name="Transfers")).to_contain_text("Upload /plan.txt by")
    # A machine that others keep busy may be late: six frames in a row, one load, must be in time.
    until = time.monotonic() + 60
    while len(board.frames) < 6 or statistics.median(gaps(board)) > 0.5:
        assert time.monotonic() < until, gaps(board)
        page.wait_for_timeout(100)
    painted, read = math.inf, math.inf
    while painted >= 1000 or read >= 2000:  # with nothing else to do half a second
        assert time.monotonic() < until + 60, (painted, read)
        page.reload()
        page.wait_for_selector("#sentence")
        read = min(read, page.evaluate("performance.now()"))
        painted = min(painted, page.evaluate(_PAINTED))


def gaps(board: Board) -> list[float]:
    """Return the seconds between the newest six frames."""
    at_s = [frame["at_s"] for frame in board.frames[-6:]]
    return [after - before for before, after in itertools.pairwise(at_s)]


def test_a_bank_dies_and_comes_back(board: Board, drive_door: Door) -> None:
    base, sentence = drive_door.drive.bases[2], board.page.locator("#sentence")
    drive_door.drive.trivet("stop", str(base))
    expect(sentence).to_contain_text(f"The drive works; 1 of 3 banks is away ({base})")
    expect(board.page.locator("#verdict")).to_contain_text(f"trivet start {base} starts it again")
    tile = board.page.get_by_role("region", name="Banks and repairs")
    expect(tile.locator(".banks > li", has_text=f"Bank {base}")).to_contain_text("away")
    drive_door.put("while-away.txt", b"x" * 100_000)
    drive_door.drive.trivet("start", str(base))
    expect(sentence).to_contain_text(WELL)


def test_a_bank_that_crashes_is_told_as_being_started_again(board: Board, drive_door: Door) -> None:
    base = drive_door.drive.bases[1]
    said = f"1 of 3 banks is away ({base})"
    until = time.monotonic() + 30
    while not any(said in one["verdict"]["sentence"] for one in board.frames):
        assert time.monotonic() < until, [one["verdict"] for one in board.frames[-5:]]
        with contextlib.suppress(StopIteration, psutil.Error):  # its successor is on its way
            drive_door.drive.kill(drive_door.drive.server_pid(base))
        board.page.wait_for_timeout(200)
    told = next(one["verdict"] for one in board.frames if said in one["verdict"]["sentence"])
    assert told["level"] == "warn"
    assert (
        "The other two serve. What is missing is being started again, then brought up to date."
        in told["doing"]
    )
    expect(board.page.locator("#sentence")).to_contain_text(WELL)


def test_two_banks_away_stand_still_on_the_board_and_for_load_balancers(
    board: Board, drive_door: Door
) -> None:
    away = drive_door.drive.bases[1:]
    try:
        for base in away:
            drive_door.drive.trivet("stop", str(base))
        expect(board.page.locator("#sentence")).to_have_text(
            f"The drive stands still: 2 of 3 banks are away ({away[0]}, {away[1]})."
        )
        expect(board.page.locator("#verdict")).to_have_class("verdict bad")
        expect(board.page.locator("#verdict")).to_contain_text(f"trivet start {away[0]} starts it again")
        answer = drive_door.http.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert answer.json()["problem"].startswith("NoMajority: ")
    finally:
        for base in away:
            drive_door.drive.trivet("start", str(base))
    expect(board.page.locator("#sentence")).to_contain_text(WELL)
    assert drive_door.http.get("/readyz").status_code == 200


def test_a_damaged_copy_is_told_with_its_repair(board: Board, drive_door: Door) -> None:
    port = drive_door.drive.bases[0]
    drive_door.drive.put(port, b"/plan.txt", b"rubbish")
    repaired = board.page.locator(".feed li", has_text=f"on server {port}")
    expect(repaired.first).to_contain_text("/plan.txt")
    expect(repaired.first).to_contain_text("repaired")
    expect(board.page.locator(".motion li", has_text="Repair").first).to_contain_text(f"/plan.txt on {port}")
    expect(board.page.locator("#sentence")).to_contain_text(WELL)


def test_a_client_in_a_loop_is_named(board: Board, drive_door: Door) -> None:
    with httpx.Client(base_url=drive_door.address) as client:
        for _ in range(140):
            client.get("/drive/v3/files/not-there")
    expect(board.page.locator(".look")).to_contain_text("127.0.0.1 asks for /drive/v3/files/not-there")
    expect(board.page.locator("#sentence")).to_contain_text("All is well")
    expect(board.page.get_by_role("region", name="Traffic")).to_contain_text("/drive")


def test_a_page_that_sleeps_wakes_up_to_one_frame_and_another_board_goes_on(
    board: Board, browser: Browser, drive_door: Door
) -> None:
    other = Board(browser, drive_door, viewport={"width": 360, "height": 640}, color_scheme="dark")
    expect(other.page.get_by_role("region", name="Processes")).to_be_visible()
    counting = [p for p in drive_door.drive.processes() if "board" in p.cmdline()]
    assert len(counting) == 1
    tools = board.tools()
    tools.send("Debugger.enable")
    while not board.frames:
        board.page.wait_for_timeout(50)
    tools.send("Debugger.pause")  # as in a lid that is closed: not one line of the page runs
    other.page.wait_for_timeout(500)  # what was on its way has come
    slept, awake = len(board.frames), len(other.frames)
    while len(other.frames) < awake + 8:
        other.page.wait_for_timeout(100)
    assert len(board.frames) <= slept + 1
    tools.send("Debugger.resume")
    while len(board.frames) <= slept + 1:
        board.page.wait_for_timeout(20)
    assert len(board.frames) <= slept + 3
    assert board.frames[-1]["at_s"] >= other.frames[awake + 6]["at_s"]
    tools.send("Debugger.pause")  # so long that its connection is gone when it wakes up
    worker = next(p for p in drive_door.drive.processes() if "gateway" in p.cmdline())
    worker.kill()
    psutil.wait_procs([worker])
    drive_door.wait_up()
    woke_s = time.time()
    tools.send("Debugger.resume")
    for page in (board, other):
        while page.frames[-1]["at_s"] <= woke_s:
            page.page.wait_for_timeout(50)
        expect(page.page.locator("#board-age")).to_contain_text("Live")
    tools.detach()
    assert other.page.evaluate("document.documentElement.scrollWidth") <= 360
    other.close()


def test_health_draws_what_processes_used(board: Board) -> None:
    page = board.page
    page.get_by_role("link", name="Health").click()
    past = page.get_by_role("region", name="Processes over time")
    past.get_by_label("How far back").select_option("5 minutes")
    keeper = past.get_by_role("row").filter(has=page.get_by_role("rowheader", name="keeper", exact=True))
    expect(keeper.get_by_role("img", name="CPU of keeper").locator("polyline")).to_have_count(1)
    expect(keeper).to_contain_text("MiB")
    chart = past.get_by_role("img", name="CPU and memory of the machine")
    expect(chart.locator("polyline")).to_have_count(2)
    chart.hover()
    expect(past.locator("#past-at")).to_contain_text("of the machine")


def test_the_memory_of_the_page_stays_flat(browser: Browser, drive_door: Door) -> None:
    board = Board(browser, drive_door)
    page, tools = board.page, board.tools()
    expect(page.get_by_role("region", name="Who asks most").locator("td").first).to_be_visible()
    frame = next(one for one in reversed(board.frames) if one["kind"] == "full" and one["floods"]["pairs"])

    def drawn(count: int) -> tuple[float, int, int]:
        page.evaluate(_DRAW, [frame, count])
        tools.send("HeapProfiler.collectGarbage")
        counters = tools.send("Memory.getDOMCounters")
        used: float = tools.send("Runtime.getHeapUsage")["usedSize"]
        return used / 2**20, counters["nodes"], counters["jsEventListeners"]

    before_mib, nodes, listeners = drawn(WARM_UP)
    after_mib, more_nodes, more_listeners = drawn(FRAMES)
    until = time.monotonic() + 20
    while more_nodes > nodes + 300 and time.monotonic() < until:  # a browser forgets when it has time
        after_mib, more_nodes, more_listeners = drawn(0)
    assert after_mib < before_mib + 1
    assert more_nodes <= nodes + 300
    assert more_listeners <= listeners + 5
    board.close()


def test_the_board_in_the_terminal(drive_door: Door, board: Board) -> None:
    drive = drive_door.drive
    assert "newest first" in drive.trivet("runs", "--drive").stdout
    with terminal("top", "--state", str(drive.state)) as screen:
        screen.wait_for("All is well: 3 of 3 banks")
        screen.type("s")
        screen.wait_for("ordered by CPU")
        screen.type("q")
        assert screen.ended() == 0
