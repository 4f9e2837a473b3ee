"""`trivet logs`: read access logs at once or follow them live; make some up, and play them back.

Rule: reports go to standard output, everything said on the way to standard error.
"""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TextIO

from cyclopts import App, Parameter

from trivet.cli.wrong_use import no_option
from trivet.errors import InputError
from trivet.insight.logs.alert import AlertRule, Watched

app = App(name="logs", help="Read access logs: what was asked for, by whom, how fast, and alerts on traffic.")


@Parameter(name="*")
@dataclass(frozen=True)
class AlertOptions:
    """When an alert is raised."""

    alert_on: Watched = "bytes"
    "What is watched: bytes sent, hits, errors (5xx) or p95 of latency."
    short_median: int = 12
    "Windows in the short moving average."
    long_median: int = 120
    "Windows in the long moving average, before the short ones."
    threshold: float = 1.5
    "Raised when the short average is more than this many times the long one."
    time_resolution: int = 10
    "Seconds in a window."
    hysteresis: float = 0.0
    "Share below the raising level at which an alert is cleared."
    minimum_rate: float = 0.05
    "Requests a second below which nothing alarms."

    def rule(self) -> AlertRule:
        """Return the rule these options make; raises InputError when they contradict."""
        return AlertRule(
            self.alert_on, self.short_median, self.long_median, self.threshold, self.time_resolution,
            self.hysteresis, self.minimum_rate,
        )  # fmt: skip


@Parameter(name="*")
@dataclass(frozen=True)
class ReadingOptions:
    """How logs are read."""

    format: str | None = None
    "The logs' format, where detection is wrong: common, combined, vhost, caddy, traefik, alb, s3, w3c, ..."
    engine: Literal["auto", "kernel", "regex"] = "auto"
    "kernel (compiled), regex, or auto; both give the same answers."
    memory_mb: int = 1024
    "Most memory for names; over it, light ones are dropped and the report says by how much it may be off."
    bad_lines: Path | None = None
    "Write every malformed line to this file, with its number and the reason."


@Parameter(name="*")
@dataclass(frozen=True)
class FollowOptions:
    """Following live, and where alerts go."""

    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False
    "Go on reading as the logs grow; rotation loses no line. Shows a board on a terminal."
    from_start: Annotated[bool, Parameter(negative="")] = False
    "With --follow: also read what the files hold already."
    every: float = 10.0
    "With --follow: seconds in a display period."
    board: bool = True
    "With --follow: show the board on a terminal; --no-board prints a line a period."
    for_: Annotated[float | None, Parameter(name="--for")] = None
    "With --follow: end after so many seconds."
    alert_file: Path | None = None
    "Append each alert to this file as a JSON line."
    alert_command: str | None = None
    "Run this program for each alert; it finds the alert as JSON on standard input."
    alert_webhook: str | None = None
    "Post each alert as JSON to this address."


def tell(line: str) -> None:
    """Say `line` on standard error."""
    print(f"trivet: {line}", file=sys.stderr, flush=True)


@app.default
def logs(
    *files: Annotated[str, Parameter(allow_leading_hyphen=True, validator=no_option)],
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    html: Path | None = None,
    live: FollowOptions = FollowOptions(),
    reading: ReadingOptions = ReadingOptions(),
    alert: AlertOptions = AlertOptions(),
) -> int:
    """Read access logs (plain or packed files, globs in quotes, - for standard input) and report on them.

    Parameters
    ----------
    files
        Log files; several are read in time order.
    json_
        Print one JSON object instead of text.
    html
        Write the report as one self-contained page to this file.
    """
    rule = alert.rule()
    if not files:
        raise InputError("name at least one log file, for example: trivet logs /var/log/nginx/access.log")
    if reading.memory_mb < 16:
        raise InputError("--memory-mb must be 16 or more")
    if live.follow:
        from trivet.cli.logs_follow import follow

        return follow(files, live, reading, rule, json_lines=json_, html=html)
    from trivet.insight.logs.alert_watch import alerts_of
    from trivet.monitor.logs.batch import ReadOptions, read_logs
    from trivet.monitor.logs.report import json_report, text_report

    with ExitStack() as stack:
        out = None
        if reading.bad_lines:
            out = stack.enter_context(open_for_writing(reading.bad_lines))
        options = ReadOptions(
            reading.engine, reading.format, reading.memory_mb << 20, out,
            rule.time_resolution_s if rule.watched == "p95" else 0, tell,
        )  # fmt: skip
        result = read_logs(files, options)
    if rule.watched == "p95" and result.latency.figures() is None:
        tell("these logs have no durations: nothing to alert on")
    alerts = alerts_of(rule, result.series, result.latency)
    if html:
        from trivet.monitor.logs.page import html_report

        with open_for_writing(html) as page:
            page.write(html_report(result, alerts))
        tell(f"wrote {html}")
    if json_:
        print(json.dumps(json_report(result, alerts)))
    elif not html:
        sys.stdout.write(text_report(result, alerts))
    return 0


def open_for_writing(path: Path, mode: Literal["w", "a"] = "w") -> TextIO:
    """Open `path` for text; raises InputError with the reason where that can't be done."""
    try:
        return path.open(mode, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


app.command("trivet.cli.logs_writing:generate", name="generate", help="Write made-up log lines at a pace.")
app.command("trivet.cli.logs_writing:replay", name="replay", help="Play a log back, faster or slower.")
