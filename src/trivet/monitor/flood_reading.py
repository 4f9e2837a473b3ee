"""From log files to arrivals: reads a server's files, keeps count of what could not be used.

Rule: a malformed line, a broken file, a file that vanished is told in `Reading` and survived.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from trivet.errors import InputError, NotFound
from trivet.insight.arrival_builder import Batch
from trivet.insight.flood import pairing
from trivet.io.log_files import LogFile
from trivet.monitor.logs.engine_choice import KERNEL_FORMATS, cached, kernel_sources
from trivet.wire.access_formats import LogFormat, detect_format, named_format
from trivet.wire.access_log import split_lines

#: logs from this size on are read by the kernel when it is compiled; from the second on it is compiled
KERNEL_BYTES = 8 << 20
COMPILE_BYTES = 64 << 20


class Taker(Protocol):
    """Whatever takes in requests one by one."""

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request."""

    def add_batch(self, batch: Batch, file: str) -> None:
        """Take in the requests of a batch."""


@dataclass(frozen=True, slots=True)
class Source:
    """How a file is named in reports, what of a target is its URL, how much is read in one round."""

    shown: str
    url_of: Callable[[bytes], bytes]
    round_bytes: int


@dataclass(slots=True)
class Reading:
    """How the reading went: lines and records, what was malformed, and `problems` in words."""

    lines: int = 0
    records: int = 0
    malformed: int = 0
    formats: dict[str, str] = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "lines": self.lines,
            "records": self.records,
            "malformed": self.malformed,
            "formats": self.formats,
            "engines": self.engines,
            "problems": self.problems,
        }


def read_files(
    paths: Sequence[tuple[str, str]],
    taker: Taker,
    *,
    pair_by: str,
    format_name: str | None = None,
    engine: str = "auto",
    memory_bytes: int = 512 << 20,
) -> Reading:
    """Read all files of one server into `taker`; `paths` are (path, name shown).

    A file that vanished or is no log is a problem; when no file at all could be read its error is raised.
    """
    reading = Reading()
    url_of = pairing(pair_by)
    refused: list[InputError | NotFound] = []
    for path, shown in paths:
        try:
            log = LogFile(path)
        except NotFound as error:
            refused.append(error)
            continue
        try:
            form = named_format(format_name, log.sample) if format_name else detect_format(log.sample, shown)
            reading.formats[shown] = form.name
            by_kernel = wants_kernel(form, log.size_bytes, engine)
            reading.engines[shown] = "kernel" if by_kernel else "regex"
            read = read_blocks if by_kernel else read_lines
            read(log, form, Source(shown, url_of, memory_bytes // 4), taker, reading)
        except InputError as error:
            refused.append(error)
        finally:
            log.close()
            reading.problems += log.problems
    if refused and len(refused) == len(paths):
        raise refused[0]
    reading.problems += [str(error) for error in refused]
    return reading


def read_lines(log: LogFile, form: LogFormat, source: Source, taker: Taker, reading: Reading) -> None:
    """Read the opened `log` of format `form` into `taker`, line by line; counts go to `reading`."""
    number = records = malformed = 0
    parse, add, directives, url_of, shown = (
        form.parse,
        taker.add,
        form.directives,
        source.url_of,
        source.shown,
    )
    for block in log.blocks():
        for line in split_lines(block):
            number += 1
            if directives and line.startswith(b"#"):
                continue
            record = parse(line)
            if record is None:
                malformed += 1
                continue
            records += 1
            add(record.ip, url_of(record.target), record.time_s, record.utc_offset_s, shown, number)
    reading.lines += number
    reading.records += records
    reading.malformed += malformed


def read_blocks(log: LogFile, form: LogFormat, source: Source, taker: Taker, reading: Reading) -> None:
    """Do what `read_lines` does with the compiled kernel, in parallel."""
    from trivet.insight.logs.engine_kernel import DIALECTS
    from trivet.monitor.flood_rounds import rounds

    number = 0
    for batch, lines in rounds(log.blocks(), DIALECTS[form.name], source.round_bytes):
        urls = [source.url_of(url) for url in batch.urls]
        taker.add_batch(replace(batch, urls=urls), source.shown)
        number += lines
        reading.records += len(batch.t)
        reading.malformed += lines - len(batch.t)
    reading.lines += number


def wants_kernel(form: LogFormat, size_bytes: int, engine: str) -> bool:
    """Say whether a log of `size_bytes` (0: unknown) in format `form` is worth the kernel (`engine` auto).

    Importing it takes a second, compiling it, once, ten and more.
    """
    if engine == "regex" or form.name not in KERNEL_FORMATS or find_spec("numba") is None:
        return False
    if engine == "auto" and 0 < size_bytes < KERNEL_BYTES:
        return False
    return kernel_is_compiled() or engine == "kernel" or size_bytes >= COMPILE_BYTES


def kernel_is_compiled() -> bool:
    """Return whether an earlier run left the kernel in numba's cache; what is older than its sources goes."""
    from trivet.insight import arrival_kernel

    sources = [Path(arrival_kernel.__file__), *kernel_sources()]
    entry = "arrival_kernel.scan_arrivals-*.nbi"
    return cached(arrival_kernel.scan_arrivals, "arrival_kernel.*", entry, sources)
