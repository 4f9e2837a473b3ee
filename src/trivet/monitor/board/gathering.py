"""All that the board shows, gathered from sockets and files of one drive, a frame at a time.

Rule: nothing here asks a door: what serves people does no work for the board.
Rule: what does not answer is waited for beside the frames; a frame tells what was known last.
Rule: files are read and counted in threads; the loop only puts together.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

import msgspec

from trivet.errors import TrivetError
from trivet.insight.board.verdict import bank_told, judge, stopped_ports
from trivet.insight.board.worth import worth_a_look
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.board.motion import Motion
from trivet.monitor.board.moving import moving
from trivet.monitor.board.traffic import DoorTraffic
from trivet.monitor.board.vendors import upstreams_told
from trivet.supervise.live_view import rates_between
from trivet.wire.board_frames import (
    BoardFrame,
    FloodsTold,
    Healing,
    MotionBar,
    Moving,
    Rates,
    TrafficTold,
    UpstreamTold,
)
from trivet.wire.control_messages import Children, Finding, RepairHistory, Status, Traffic
from trivet.wire.health_messages import DriveFigures

#: Frames come this often; what changes slowly is asked for less often.
FRAME_S, SLOW_S = 0.4, 1.0
#: A process that says nothing for so long counts as not answering.
SILENCE_S = 4.0
FLOODS_S, FLOODS_REST = 5.0, 20
REPAIRS, REPAIRS_BACK_S = 20, 24 * 3600.0
_RANKS = {"supervisor": 0, "keeper": 1, "door worker": 2, "upstream": 3, "helper": 5}
SHOWN_REPAIRS, PROCESSES, STEPS = 8, 60, 10


class BoardFigures:
    """The figures of the drive in `folder`; `gathering` keeps them fresh, `frame` puts one together."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._folder = folder
        self._status: Status | None = None
        self._problem = "nobody has asked it yet"
        self._children: Children | None = None
        self._repairs: list[Finding] = []
        self._repairs_of: int | None = None
        self._rates, self._before, self._before_s = Rates(), Traffic(), 0.0
        self._traffic, self._floods = TrafficTold(), FloodsTold()
        self._bars: list[MotionBar] = []
        self._moving: tuple[list[Moving], int] = ([], 0)
        self._upstreams: list[UpstreamTold] = []
        self._figures: DriveFigures | None = None
        self._log = DoorTraffic(folder.gateway_path / "access.log")
        self._motion = Motion(folder.gateway_path / "runs")
        self.is_running = True

    @contextlib.asynccontextmanager
    async def gathering(self) -> AsyncIterator[None]:
        """Keep the figures fresh as long as the block runs; everything was asked once when it begins."""
        rounds: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self._ask_keeper, FRAME_S), (self._ask_others, SLOW_S),
            (self._read_files, FRAME_S), (self._judge_floods, FLOODS_S),
        ]  # fmt: skip
        for work in (self._ask_others, self._ask_keeper, self._read_files):
            await work()
        tasks = [asyncio.create_task(_again(work, pause_s)) for work, pause_s in rounds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._log.close()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def frames(self, every_s: float = FRAME_S) -> AsyncGenerator[BoardFrame]:
        """Yield a frame every `every_s` seconds, the first at once; must be closed."""
        async with self.gathering():
            while True:
                yield self.frame()
                await asyncio.sleep(every_s)

    def frame(self) -> BoardFrame:
        """Return what is known now."""
        status, children = self._status, self._children
        healing = Healing()
        if status is not None:
            healing = Healing(
                status.open_damage, status.repaired_total, status.refresh_age_s, status.scrub,
                self._repairs[:SHOWN_REPAIRS],
            )  # fmt: skip
        stopped = stopped_ports(children)
        told, more = self._moving
        return BoardFrame(
            at_s=time.time(),
            verdict=judge(status, self._problem, children),
            look=worth_a_look(self._traffic, self._floods, self._upstreams, self._figures),
            banks=[bank_told(bank, stopped) for bank in status.banks] if status else [],
            healing=healing,
            rates=self._rates,
            traffic=self._traffic,
            floods=self._floods,
            bars=self._bars,
            moving=told,
            moving_left_out=more,
            upstreams=self._upstreams,
            figures=self._figures,
            notes=status.notes if status else [],
        )

    async def _ask_keeper(self) -> None:
        try:
            told = await ask_keeper(self._folder, "status", silence_s=SILENCE_S)
            status = msgspec.convert(told, Status)
            if status.repaired_total != self._repairs_of:
                await self._ask_repairs()
                self._repairs_of = status.repaired_total
        except TrivetError as error:
            self._status, self._rates, self._before_s = None, Rates(), 0.0
            self._problem = str(error)
            self.is_running = not isinstance(error, NotRunning) or self._children is not None
            return
        now_s = time.monotonic()
        if self._before_s:
            rates = rates_between(self._before, status.traffic, now_s - self._before_s)
            self._rates = Rates(rates.operations_s, rates.read_bytes_s, rates.written_bytes_s)
        self._before, self._before_s = status.traffic, now_s
        self._status, self._problem, self.is_running = status, "", True

    async def _ask_repairs(self) -> None:
        """Ask for the latest repairs; a keeper that is still loading has none to tell."""
        wanted = {"since_s": REPAIRS_BACK_S, "limit": REPAIRS}
        with contextlib.suppress(Remote):
            told = await ask_keeper(self._folder, "repairs", wanted, silence_s=SILENCE_S)
            self._repairs = msgspec.convert(told, RepairHistory).repairs[::-1]

    async def _ask_others(self) -> None:
        children = figures = None
        with contextlib.suppress(TrivetError):
            socket = self._folder.supervisor_socket
            children = msgspec.convert(await ask(socket, "children", silence_s=SILENCE_S), Children)
            told = await ask(socket, "processes", {"series_s": 0.0}, silence_s=SILENCE_S)
            figures = _bounded(msgspec.convert(told, DriveFigures))
        self._children, self._figures = children, figures
        self._upstreams = await upstreams_told(self._folder.upstream_socket, SILENCE_S)

    async def _read_files(self) -> None:
        await asyncio.to_thread(self._count)

    def _count(self) -> None:
        now_s = time.time()
        self._log.read(now_s)
        self._traffic, self._floods = self._log.told(now_s), self._log.floods()
        self._motion.read()
        self._bars = self._motion.bars(self._repairs)
        self._moving = moving(self._folder.gateway_path / "door.sqlite") or self._moving

    async def _judge_floods(self) -> None:
        """Look for floods, for no more than a small part of the time."""
        began_s, now_s = time.monotonic(), time.time()
        window = await asyncio.to_thread(self._log.window, now_s)
        await asyncio.to_thread(self._log.judge, window, now_s)
        await asyncio.sleep(FLOODS_REST * (time.monotonic() - began_s))


def _bounded(figures: DriveFigures) -> DriveFigures:
    ranked = sorted(figures.processes, key=lambda one: (_RANKS.get(one.role, 4), one.role, one.name))
    return msgspec.structs.replace(figures, processes=ranked[:PROCESSES], steps=figures.steps[-STEPS:][::-1])


async def _again(work: Callable[[], Awaitable[None]], pause_s: float) -> None:
    while True:
        await asyncio.sleep(pause_s)
        await work()
