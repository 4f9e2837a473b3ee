"""From log files to arrivals: reads a server's files, keeps count of what could not be used.

Rule: a malformed line, a broken file, a file that vanished is told in `Reading` and survived.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trivet.errors import InputError, NotFound
from trivet.insight.flood import pairing
from trivet.io.log_files import LogFile
from trivet.wire.access_formats import LogFormat, detect_format, named_format
from trivet.wire.access_log import split_lines


class Taker(Protocol):
    """Whatever takes in requests one by one."""

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request."""


@dataclass(slots=True)
class Reading:
    """How the reading went: lines and records, what was malformed, and `problems` in words."""

    lines: int = 0
    records: int = 0
    malformed: int = 0
    formats: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return the counts as a JSON object."""
        return {
            "lines": self.lines,
            "records": self.records,
            "malformed": self.malformed,
            "formats": self.formats,
            "problems": self.problems,
        }


def read_files(
    paths: Sequence[tuple[str, str]], taker: Taker, *, pair_by: str, format_name: str | None = None
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
            read_one(log, form, shown, taker, url_of, reading)
        except InputError as error:
            refused.append(error)
        finally:
            log.close()
            reading.problems += log.problems
    if refused and len(refused) == len(paths):
        raise refused[0]
    reading.problems += [str(error) for error in refused]
    return reading


def read_one(
    log: LogFile,
    form: LogFormat,
    shown: str,
    taker: Taker,
    url_of: Callable[[bytes], bytes],
    reading: Reading,
) -> None:
    """Read the opened `log` of format `form` into `taker`, with URLs by `url_of`; counts go to `reading`."""
    number = malformed = records = 0
    parse, add, directives = form.parse, taker.add, form.directives
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
