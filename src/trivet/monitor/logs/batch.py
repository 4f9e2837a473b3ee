"""Reading log files from beginning to end: one engine or two threads of it, and what they found.

Rule: blocks are counted in any order and told in file order; memory is bounded by a few blocks.
Rule: line numbers run on through all files in the order of `files`.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from trivet.errors import InputError, NotFound, TrivetError
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.insight.logs.series import LatencyBook, SecondSeries
from trivet.insight.logs.summary import AccessSummary, Fed
from trivet.io.log_files import BLOCK_BYTES, LogFile, expand_paths
from trivet.monitor.logs.engine_choice import EngineChoice, choose_engine
from trivet.wire.access_formats import LogFormat, detect_format, named_format
from trivet.wire.access_log import escape, split_lines
from trivet.wire.access_reasons import why_malformed

if TYPE_CHECKING:
    pass

#: malformed lines whose numbers are listed; of more than that only the count is kept
MOST_LISTED = 1_000_000
_THREADS = 2
#: blocks being counted or waiting, so that reading never runs far ahead
_BLOCKS_AHEAD = 4


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How logs are read: `engine` is auto, kernel or regex; `format_name` overrides detection."""

    engine: str = "auto"
    format_name: str | None = None
    memory_bytes: int = 1 << 30
    bad_lines_file: TextIO | None = None
    latency_window_s: int = 0
    say: Callable[[str], None] = lambda _line: None


@dataclass(slots=True)
class FileRead:
    """What was read of one file."""

    path: str
    format_name: str
    packing: str
    lines: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LogReading:
    """Everything a report can be made of."""

    files: list[FileRead]
    engine: EngineChoice
    summary: AccessSummary = field(default_factory=AccessSummary)
    malformed_lines: list[int] = field(default_factory=list)
    series: SecondSeries = field(default_factory=SecondSeries)
    latency: LatencyBook = field(default_factory=LatencyBook)

    @property
    def format_name(self) -> str:
        """The format of the files; several are joined by a plus sign and spaces."""
        return " + ".join(dict.fromkeys(file.format_name for file in self.files))

    @property
    def problems(self) -> list[str]:
        """What went wrong on the way, in words."""
        return [problem for file in self.files for problem in file.problems]


class _Collector:
    """Takes what engines say of blocks, in any order, and tells it in the order of the blocks."""

    def __init__(self, reading: LogReading, bad_lines_file: TextIO | None) -> None:
        self._reading = reading
        self._out = bad_lines_file
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[FileRead, Fed, bytes]] = {}
        self._next = 0
        self._line = 0

    def take(self, number: int, file: FileRead, fed: Fed, block: bytes) -> None:
        """Take what was said of block `number`."""
        with self._lock:
            self._reading.series.add(fed.rows)
            self._reading.latency.add(fed.timings)
            self._waiting[number] = (file, fed, block if self._out and len(fed.bad_lines) else b"")
            while self._next in self._waiting:
                self._tell(*self._waiting.pop(self._next))
                self._next += 1

    def _tell(self, file: FileRead, fed: Fed, block: bytes) -> None:
        room = MOST_LISTED - len(self._reading.malformed_lines)
        self._reading.malformed_lines.extend((fed.bad_lines[:room, 0] + self._line).tolist())
        if self._out and block:
            for number, start, end in fed.bad_lines.tolist():
                line = block[start:end]
                reason = why_malformed(line, file.format_name)
                self._out.write(f"{file.path}:{file.lines + number}: {reason}: {escape(line[:1000])}\n")
        file.lines += fed.lines
        self._line += fed.lines


def read_logs(patterns: Sequence[str], options: ReadOptions) -> LogReading:
    """Return what the logs named by `patterns` (paths, globs, `-`) say.

    Raises InputError when a file is no access log, NotFound when there is none.
    """
    opened = _open_all(expand_paths(patterns), options)
    formats = {log.path: log_format for log, log_format in opened}
    size = sum(log.size_bytes for log, _ in opened)
    choice = choose_engine(options.engine, [f.name for f in formats.values()], size, options.say)
    files = [FileRead(log.path, log_format.name, log.packing) for log, log_format in opened]
    reading = LogReading(files, choice, latency=LatencyBook(options.latency_window_s))
    collector = _Collector(reading, options.bad_lines_file)
    blocks = _blocks([log for log, _ in opened], files)
    if choice.name == "kernel":
        reading.summary = _count_with_kernel(blocks, collector, options, small=size < BLOCK_BYTES)
    else:
        engine = RegexEngine(options.memory_bytes)
        for number, (file, block) in enumerate(blocks):
            collector.take(number, file, engine.feed(block, formats[file.path]), block)
        reading.summary = engine.summary()
    return reading


def _open_all(paths: list[str], options: ReadOptions) -> list[tuple[LogFile, LogFormat]]:
    """Return the files with their formats, in the order of their first records' times."""
    opened = []
    refused: list[TrivetError] = []
    for path in paths:
        try:
            log = LogFile(path)
            if options.format_name:
                log_format = named_format(options.format_name, log.sample)
            else:
                log_format = detect_format(log.sample, path)
        except (InputError, NotFound) as error:
            refused.append(error)
            continue
        opened.append((log, log_format))
    if refused and (not opened or len(paths) == 1):
        raise refused[0]
    for refusal in refused:
        options.say(f"left out: {refusal}")
    return sorted(opened, key=lambda item: _first_time(*item)) if len(opened) > 1 else opened


def _first_time(log: LogFile, log_format: LogFormat) -> float:
    for line in split_lines(log.sample[: 1 << 16]):
        record = log_format.parse(line)
        if record is not None:
            return record.time_s
    return 0.0


def _blocks(logs: list[LogFile], files: list[FileRead]) -> Iterator[tuple[FileRead, bytes]]:
    for log, file in zip(logs, files, strict=True):
        for block in log.blocks():
            yield file, block
        file.problems.extend(log.problems)
        if log.overlong_lines:
            file.problems.append(
                f"{log.path}: {log.overlong_lines} lines longer than 4 MiB count as malformed"
            )
        log.close()


def _count_with_kernel(
    blocks: Iterator[tuple[FileRead, bytes]], collector: _Collector, options: ReadOptions, *, small: bool
) -> AccessSummary:
    """Count `blocks` in two threads (one where the input is `small`), each with its own tables."""
    from trivet.insight.logs.engine_kernel import DIALECTS, KernelEngine

    threads = 1 if small else _THREADS
    engines = [KernelEngine(options.memory_bytes // (threads + 1)) for _ in range(threads)]
    idle: list[KernelEngine] = list(engines)
    ahead = threading.BoundedSemaphore(_BLOCKS_AHEAD)

    def count(number: int, file: FileRead, block: bytes) -> None:
        engine = idle.pop()
        try:
            collector.take(number, file, engine.feed(block, DIALECTS[file.format_name]), block)
        finally:
            idle.append(engine)
            ahead.release()

    with ThreadPoolExecutor(threads, thread_name_prefix="log-kernel") as pool:
        pending = []
        for number, (file, block) in enumerate(blocks):
            ahead.acquire()
            pending.append(pool.submit(count, number, file, block))
            if len(pending) > _BLOCKS_AHEAD:
                pending.pop(0).result()
        for future in pending:
            future.result()
    for other in engines[1:]:
        engines[0].merge(other)
    return engines[0].summary()
