"""Following logs live: batches of lines into an engine, figures by display period, alerts as they come.

Rule: reading and counting run in a thread; the loop only hands results on.
Rule: alerts go by the log's own clock; where no lines come it moves on with ours, so that quiet windows
close; a window stays open for GRACE_S after its end for lines written late.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from trivet.errors import InputError
from trivet.insight.logs.alert import AlertChanged, AlertRule
from trivet.insight.logs.alert_watch import AlertWatch
from trivet.insight.logs.engine_kernel import DIALECTS, KernelEngine
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.insight.logs.kernel_drill import Drill
from trivet.insight.logs.series import LatencyBook, SecondSeries
from trivet.insight.logs.summary import Fed
from trivet.io.log_tail import Chunk, LogTail
from trivet.monitor.logs.batch import FileRead, LogReading
from trivet.monitor.logs.engine_choice import KERNEL_FORMATS, EngineChoice, choose_engine
from trivet.monitor.logs.kernel_ready import KernelReady
from trivet.wire.access_formats import (
    SAMPLE_BYTES,
    SAMPLE_LINES,
    LogFormat,
    detect_format,
    named_format,
)

#: between two looks at the files: while lines come, and when none came for a second
TICK_S, IDLE_TICK_S = 0.02, 0.05
#: looking costs time for each file; this many times as long as it took nothing is looked at
_REST = 10
_NEWLINE = b"\n"
GRACE_S = 2
_LOOK_S = 0.5


@dataclass(slots=True)
class Period:
    """What came in one display period; `top_section` is (name, hits)."""

    seconds: float = 0.0
    hits: int = 0
    size_bytes: int = 0
    client_errors: int = 0
    server_errors: int = 0
    top_section: tuple[bytes, int] = (b"", 0)


@dataclass(slots=True)
class Progress:
    """How far the reader is: lines handled in all, lines waiting in the files (from their mean length)."""

    handled: int = 0
    waiting: int = 0
    bytes_read: int = 0
    lag_s: float = 0.0


@dataclass(slots=True)
class LiveLogs:
    """One running follow; whoever shows it reads `reading`, `progress`, `alerts` and asks `end_period`."""

    tail: LogTail
    rule: AlertRule
    engine_name: str = "auto"
    format_name: str | None = None
    memory_bytes: int = 1 << 30
    progress: Progress = field(default_factory=Progress)
    notes: list[str] = field(default_factory=list)
    alerts: list[AlertChanged] = field(default_factory=list)
    malformed_lines: int = 0
    _formats: dict[str, LogFormat] = field(default_factory=dict)
    _undecided: dict[str, bytes] = field(default_factory=dict)
    _left_out: set[str] = field(default_factory=set)
    _engine: KernelEngine | RegexEngine | None = None
    _why: str = ""
    _ready: KernelReady = field(default_factory=KernelReady)
    _watch: AlertWatch = field(init=False)
    _period: Period = field(default_factory=Period)
    _sections: dict[bytes, int] = field(default_factory=dict)
    _last_log: tuple[int, float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    series: SecondSeries = field(default_factory=SecondSeries)
    latency: LatencyBook = field(default_factory=LatencyBook)

    def __post_init__(self) -> None:
        self._watch = AlertWatch(self.rule)

    async def batches(self) -> AsyncGenerator[list[AlertChanged]]:
        """Yield after every look at the files with the alerts that it changed; never ends, must be closed."""
        # lines count from here on, also those that come while the kernel is loaded
        await asyncio.to_thread(self.tail.look, time.monotonic())
        try:
            await self._ready.prepare(self.engine_name, self.notes.append)
            looked_s = came_s = time.monotonic()
            while True:
                started_s = time.monotonic()
                handled = self.progress.handled
                if started_s - looked_s >= _LOOK_S:
                    await asyncio.to_thread(self.tail.look, started_s)
                    looked_s = started_s
                changes, busy = await asyncio.to_thread(self._turn)
                self.alerts += changes
                yield changes
                if self._ready.beside is not None and self._ready.beside.done():
                    await self._ready.close()
                    await self._compiled()
                took_s = time.monotonic() - started_s
                if self.progress.handled > handled:
                    came_s = started_s
                    pause_s = TICK_S - took_s
                else:
                    pause_s = max(
                        (TICK_S if started_s - came_s < 1 else IDLE_TICK_S) - took_s, _REST * took_s
                    )
                if not busy:
                    await asyncio.sleep(max(0.0, pause_s))
        finally:
            await self._ready.close()

    def _turn(self) -> tuple[list[AlertChanged], bool]:
        """Read and count one batch; return (alerts changed, whether more is waiting)."""
        chunks = self.tail.read(time.monotonic())
        if not chunks:
            # a rename shows in the directory only after the old file's end was read
            self.tail.look(time.monotonic())
            chunks = self.tail.read(time.monotonic())
        self.notes += self.tail.notes
        self.tail.notes.clear()
        changes: list[AlertChanged] = []
        for chunk in chunks:
            with self._lock:
                fed = self._feed(chunk)
            if fed is not None:
                changes += self._note(fed)
        progress = self.progress
        waiting_bytes = self.tail.waiting_bytes()
        mean = progress.bytes_read / progress.handled if progress.handled else 200.0
        progress.waiting = round(waiting_bytes / mean)
        return changes + self._advance(), bool(chunks) and waiting_bytes > 0

    def _feed(self, chunk: Chunk) -> Fed | None:
        log_format = self._formats.get(chunk.path)
        if log_format is None:
            chunk = Chunk(chunk.path, self._undecided.pop(chunk.path, b"") + chunk.data)
            log_format = self._format_of(chunk)
            if log_format is None:
                return None
        if self._engine is None:
            self._make_engine(log_format.name)
        self.progress.bytes_read += len(chunk.data)
        if isinstance(self._engine, KernelEngine):
            return self._engine.feed(chunk.data, DIALECTS[log_format.name])
        assert self._engine is not None
        return self._engine.feed(chunk.data, log_format)

    def _format_of(self, chunk: Chunk) -> LogFormat | None:
        """Return the format of a file by its first lines; None while they do not tell, or when it is none."""
        if chunk.path in self._left_out:
            return None
        try:
            found = (
                named_format(self.format_name, chunk.data)
                if self.format_name
                else detect_format(chunk.data, chunk.path)
            )
            if isinstance(self._engine, KernelEngine) and found.name not in KERNEL_FORMATS:
                self._change_engine(f"{chunk.path} is {found.title}")
        except InputError as error:
            if chunk.data.count(b"\n") < SAMPLE_LINES and len(chunk.data) < SAMPLE_BYTES:
                self._undecided[chunk.path] = chunk.data
            else:
                self._left_out.add(chunk.path)
                self.notes.append(f"left out: {error}")
            return None
        self._formats[chunk.path] = found
        return found

    def _make_engine(self, format_name: str) -> None:
        if self._ready.why_not and format_name in KERNEL_FORMATS:
            choice = EngineChoice("regex", self._ready.why_not)
        else:
            choice = choose_engine(self.engine_name, [format_name], 0, self.notes.append)
        self._why = choice.why
        make = KernelEngine if choice.name == "kernel" else RegexEngine
        self._engine = make(self.memory_bytes)

    async def _compiled(self) -> None:
        """Go on with the kernel, which was compiled meanwhile, where it reads what is followed."""
        if not self._ready.loaded:
            self.notes.append("the kernel could not be compiled; the slower engine goes on")
        elif all(log_format.name in KERNEL_FORMATS for log_format in self._formats.values()):
            await asyncio.to_thread(self._hand_to_kernel)

    def _hand_to_kernel(self) -> None:
        counted = self._engine.counted() if isinstance(self._engine, RegexEngine) else None
        if counted is None:
            return
        engine = KernelEngine(self.memory_bytes)
        engine.take_over(counted)
        with self._lock:
            self._engine, self._why = engine, "the fastest, compiled while lines came"
        self.notes.append("the kernel is compiled and reads from now on")

    def _change_engine(self, why: str) -> None:
        """Go on with the regular expressions, which read every format; raises InputError if that can't be."""
        assert isinstance(self._engine, KernelEngine)
        counted = self._engine.counted() if self.engine_name == "auto" else None
        if counted is None:
            raise InputError(f"{why}; follow it with --engine regex")
        engine = RegexEngine(self.memory_bytes)
        engine.take_over(counted)
        self._engine, self._why = engine, why
        self.notes.append(f"{why}: all lines are read by the slower engine from now on")

    def _note(self, fed: Fed) -> list[AlertChanged]:
        """Add what a batch said to the period, the series and the alerts."""
        self.progress.handled += fed.lines
        self.malformed_lines += len(fed.bad_lines)
        if not len(fed.rows):
            return []
        sums = fed.rows[:, 1:].sum(axis=0).tolist()
        period = self._period
        period.hits += sums[0]
        period.size_bytes += sums[1]
        period.client_errors += sums[2]
        period.server_errors += sums[3]
        self.series.add(fed.rows)
        self.latency.add(fed.timings)
        newest = int(fed.rows[:, 0].max())
        if self._last_log is None or newest > self._last_log[0]:
            self._last_log = (newest, time.monotonic())
        self.progress.lag_s = time.time() - newest
        return self._watch.add(fed.rows, fed.timings, grace_s=GRACE_S)

    def _advance(self) -> list[AlertChanged]:
        """Close windows that ended while no line came."""
        if self._last_log is None:
            return []
        newest, seen_s = self._last_log
        return self._watch.advance(int(newest + time.monotonic() - seen_s) - GRACE_S)

    @property
    def alert_is_raised(self) -> bool:
        """Whether an alert is on."""
        return self._watch.alarm.raised

    def end_period(self, seconds: float) -> Period:
        """Return the figures since the last call and begin a new period."""
        period, self._period = self._period, Period()
        period.seconds = seconds
        if period.hits and self._engine is not None:
            with self._lock:
                hits = {name: figures[0] for name, figures in self._engine.section_figures().items()}
            grown = ((n - self._sections.get(name, 0), name) for name, n in hits.items())
            most, name = max(grown, default=(0, b""))
            period.top_section = (name, most)
            self._sections = hits
        return period

    def finish(self) -> LogReading:
        """Count last lines without newline and return everything, as a report of files would have it."""
        for chunk in self.tail.rest():
            fed = self._feed(chunk)
            if fed is not None:
                self._note(fed)
        for path, lines in self._undecided.items():
            self.notes.append(
                f"left out: {path}: none of its {lines.count(_NEWLINE)} lines is an access record"
            )
        return self.reading()

    def drill(self, kind: str, name: bytes) -> Drill:
        """Return what stands behind a `kind` (section or ip) called `name`."""
        with self._lock:
            return self._engine.drill(kind, name) if self._engine else Drill(0, [], [])

    def reading(self) -> LogReading:
        """Return everything that was counted so far."""
        files = [FileRead(path, f.name, "plain") for path, f in self._formats.items()]
        name = self._engine.name if self._engine else "none"
        reading = LogReading(files, EngineChoice(name, self._why), series=self.series, latency=self.latency)
        if self._engine is not None:
            with self._lock:
                reading.summary = replace(self._engine.summary())
        return reading
