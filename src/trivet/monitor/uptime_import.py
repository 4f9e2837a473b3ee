"""Response times out of access logs into the uptime store.

Rule: a log that was imported before goes on where it ended, known by its first line; nothing counts twice.
Rule: a request is available when the server did not fail (a status below 500): a 404 is the client's affair,
status 0 is a connection that ended before the answer.
"""

from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from trivet.errors import InputError
from trivet.insight.uptime import Hour, roll_up
from trivet.io.log_files import LogFile
from trivet.io.uptime_store import UptimeStore
from trivet.wire.access_formats import detect_format, named_format
from trivet.wire.access_log import AccessRecord, split_lines


@dataclass(slots=True)
class Imported:
    """What one log gave: `samples` stored, lines left out because known, malformed, or without a duration."""

    path: str
    samples: int = 0
    known_lines: int = 0
    malformed: int = 0
    untimed: int = 0


def import_log(
    path: str, store: UptimeStore, *, place: str, url: str, format_name: str | None = None
) -> Imported:
    """Import the log at `path` as samples of `url` at `place`; raises InputError when it has no durations."""
    log = LogFile(path)
    try:
        form = named_format(format_name, log.sample) if format_name else detect_format(log.sample, path)
        head = sha256(log.sample.partition(b"\n")[0]).digest()
        told = Imported(path, known_lines=store.imported_lines(place, url, head))
        hours: dict[int, Hour] = {}
        number = 0
        for block in log.blocks():
            records: list[AccessRecord] = []
            for line in split_lines(block):
                number += 1
                if number <= told.known_lines or (form.directives and line.startswith(b"#")):
                    continue
                record = form.parse(line)
                if record is None:
                    told.malformed += 1
                elif record.duration_s < 0:
                    told.untimed += 1
                else:
                    records.append(record)
            told.samples += len(records)
            for hour in rolled(records):
                hours[hour.hour] = hours[hour.hour].merged(hour) if hour.hour in hours else hour
    finally:
        log.close()
    if told.untimed and not told.samples:
        raise InputError(
            f"{path} ({form.title}) has no durations; log them with $request_time (nginx) or %D (Apache)"
        )
    told.known_lines = min(told.known_lines, number)
    store.add_hours(place, url, list(hours.values()), head=head, lines=number)
    return told


def rolled(records: list[AccessRecord]) -> list[Hour]:
    """Return the hourly roll-ups of `records`."""
    at = np.array([record.time_s for record in records], dtype=np.float64)
    took = np.array([record.duration_s for record in records], dtype=np.float64) * 1000
    status = np.array([record.status for record in records], dtype=np.int64)
    return roll_up(at, took, (status > 0) & (status < 500), np.ones(len(records), dtype=bool))
