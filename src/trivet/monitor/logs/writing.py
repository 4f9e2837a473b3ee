"""Writing logs at a pace: made-up lines, or a file played back.

Rule: when the pace can't be held the rate reached is said; nobody is told a rate that was not.
Rule: whole batches of lines are written at once, so a reader never sees half a line for long.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from trivet.insight.logs.generator import LineMaker, Site, stamps_of
from trivet.io.log_files import LogFile
from trivet.wire.access_formats import LogFormat, detect_format
from trivet.wire.access_log import split_lines

Say = Callable[[str], None]
_STEP_S = 0.05
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Written:
    """How much was written and how fast."""

    lines: int
    seconds: float
    wanted_rate: float

    @property
    def rate(self) -> float:
        """Lines a second that were reached."""
        return self.lines / self.seconds if self.seconds else 0.0

    def report(self) -> str:
        """Return one sentence for the user."""
        text = f"{self.lines} lines in {self.seconds:.1f} s, {self.rate:.0f} lines/s"
        due = self.wanted_rate * self.seconds
        # lines are written a step at a time, and a line is whole: that much is no lag
        if due - self.lines > max(0.02 * due, 2 * _STEP_S * self.wanted_rate + 1):
            text += f"; the pace of {self.wanted_rate:.0f} lines/s could not be held"
        return text


def stamp_now() -> str:
    """Return the present time as Combined logs write it, in UTC."""
    now = time.gmtime()
    return f"{now.tm_mday:02}/{_MONTHS[now.tm_mon - 1]}/{now.tm_year}:{time.strftime('%H:%M:%S', now)} +0000"


def write_paced(
    out: BinaryIO, maker: LineMaker, site: Site, *, rate: float, for_s: float | None, most_lines: int | None
) -> Written:
    """Write lines of `maker` to `out` at `rate` a second until `for_s` or `most_lines` is reached.

    What the pace left undone in one step is made up in the next ones, as long as the machine can.
    """
    began = time.monotonic()
    due = skipped = last = fleet_next = 0.0
    lines = fleet_lines = 0
    most_behind = rate * max(1.0, site.burst_times) / 2
    while True:
        now = time.monotonic() - began
        if most_lines is not None and lines >= most_lines:
            break
        is_last = for_s is not None and now >= for_s
        now = min(now, for_s or now)
        due += rate * site.pace_at(now) * (now - last)
        last = now
        if due - lines > most_behind:  # a pace out of reach must not grow a backlog without end
            skipped += due - lines - most_behind
            due = lines + most_behind
        count = int(due) - lines
        if most_lines is not None:
            count = min(count, most_lines - lines)
        if count > 0:
            out.write(maker.batch(count, stamp_now()))
            lines += count
        if site.devices and now >= fleet_next:
            out.write(maker.fleet(stamp_now()))
            fleet_lines += site.devices
            fleet_next += site.fleet_period_s
        out.flush()
        if is_last:
            break
        time.sleep(max(0.0, _STEP_S - (time.monotonic() - began - now)))
    # what fell due since the last step would have been written in the next one
    wanted = (due + skipped) / last if last else 0.0
    return Written(lines + fleet_lines, max(time.monotonic() - began, 1e-9), wanted)


def replay(log: LogFile, out: BinaryIO, *, speed: float, restamp: bool, say: Say) -> Written:
    """Write the lines of `log` to `out` as far apart as their times are, `speed` times as fast.

    `restamp` gives each line of the Common family the present time. Lines without a time follow at once.
    """
    log_format = detect_format(log.sample, log.path)
    can_restamp = restamp and log_format.name in ("common", "combined", "vhost", "combined+duration")
    if restamp and not can_restamp:
        say(f"lines of the format {log_format.name} keep their times")
    began = time.monotonic()
    first_s: float | None = None
    lines = 0
    latest_s = 0.0
    for moment_s, batch in _by_moment(log, log_format):
        if moment_s is not None:
            first_s = moment_s if first_s is None else first_s
            latest_s = max(latest_s, (moment_s - first_s) / speed)
            wait = latest_s - (time.monotonic() - began)
            if wait > 0:
                out.flush()
                time.sleep(wait)
        out.write(_restamped(batch) if can_restamp else b"".join(batch))
        lines += len(batch)
    out.flush()
    seconds = time.monotonic() - began
    return Written(lines, seconds, lines / latest_s if latest_s > 0.5 else 0.0)


def _by_moment(log: LogFile, log_format: LogFormat) -> Iterator[tuple[float | None, list[bytes]]]:
    """Yield (time, lines with their newlines) for each run of lines of one second."""
    moment: float | None = None
    batch: list[bytes] = []
    for block in log.blocks():
        for line in split_lines(block):
            record = log_format.parse(line)
            if record is not None and record.time_s != moment:
                if batch:
                    yield moment, batch
                moment, batch = record.time_s, []
            batch.append(line + b"\n")
    if batch:
        yield moment, batch


def _restamped(batch: list[bytes]) -> bytes:
    stamp = stamp_now().encode()
    return b"".join(
        line if start < 0 else line[:start] + stamp + line[end:]
        for line, start, end in stamps_of(iter(batch))
    )
