"""`trivet floods`: which device, or which fleet, will bring the server down.

Rule: exit code 1 says that something was found (only of the kinds in `--fail-on`, when given).
"""

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from trivet.cli.wrong_use import no_option
from trivet.errors import InputError
from trivet.insight.flood import pairing
from trivet.insight.flood_report import KINDS
from trivet.io.log_sources import names_date, parse_source
from trivet.monitor.flood_run import Outcome, Plan, as_json, run
from trivet.monitor.flood_text import findings_lines, summary, text_report
from trivet.monitor.terminal_text import printable

app = App(name="floods", help="Find devices and fleets in access logs that flood a server.")


@Parameter(name="*")
@dataclass(frozen=True)
class ReadingOptions:
    """How logs are read."""

    pair_by: str = "target"
    "What counts as the URL: target, path, or path+PARAM (the path and a query parameter's value)."
    format_: Annotated[str | None, Parameter(name="--format")] = None
    "The log format, when detection is not wanted."
    engine: Literal["auto", "kernel", "regex"] = "auto"
    "The compiled kernel for large logs, else a regular expression; same answers."
    memory_mb: int = 512
    "Memory for requests; what does not fit is spilled to temporary files, with --follow it is sketched."
    date_: Annotated[str | None, Parameter(name="--date")] = None
    "The day for {date}, as 2024-06-05; default yesterday."
    ssh_timeout: float = 300
    "Seconds that fetching one log over ssh may take."


@Parameter(name="*")
@dataclass(frozen=True)
class FollowOptions:
    """Following live."""

    follow: Annotated[bool, Parameter(alias="-f", negative="")] = False
    "Go on reading as the logs grow and tell findings as they come up."
    from_start: Annotated[bool, Parameter(negative="")] = False
    "With --follow: also read what the files hold already."
    every: float = 60.0
    "With --follow: seconds from judgement to judgement."
    for_: Annotated[float | None, Parameter(name="--for")] = None
    "With --follow: end after so many seconds."


@app.default
def floods(
    *sources: Annotated[str, Parameter(allow_leading_hyphen=True, validator=no_option)],
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    html: Path | None = None,
    fail_on: str = ",".join(KINDS),
    reading: ReadingOptions = ReadingOptions(),
    live: FollowOptions = FollowOptions(),
) -> int:
    """Report the top (IP, URL) pairs, the busiest IP hour by hour, and whatever looks like a flood.

    Parameters
    ----------
    sources
        Log files, globs, `-`, `ssh HOST:PATH`; NAME= in front names the server; {date} in a path is --date.
    json_
        Print one JSON object.
    html
        Write a page with plots to this file too.
    fail_on
        Kinds of findings that make the exit code 1: lockstep,steady,pace,storms; none for never.
    """
    kinds = failing_kinds(fail_on)
    check(sources, reading)
    day = report_day(reading.date_)
    if live.follow:
        return follow_files(sources, reading, live, kinds, json_)
    plan = Plan(
        sources=[parse_source(text, day) for text in sources],
        day=day if reading.date_ or any(names_date(text) for text in sources) else None,
        pair_by=reading.pair_by,
        format_name=reading.format_,
        engine=reading.engine,
        memory_cap_bytes=reading.memory_mb << 20,
        ssh_timeout_s=reading.ssh_timeout,
        now=time.time(),
    )
    with tempfile.TemporaryDirectory(prefix="trivet-floods-") as folder:
        outcome = run(plan, Path(folder))
    tell(plan, outcome, json_, html)
    found = sum(report.count(kinds) for report in (outcome.whole, *(one.report for one in outcome.servers)))
    return 1 if found else 3 if outcome.failed else 0


def check(sources: Sequence[str], reading: ReadingOptions) -> None:
    """Raise InputError for options that make no sense."""
    if not sources:
        raise InputError("name at least one log file, for example: trivet floods /var/log/nginx/access.log")
    pairing(reading.pair_by)
    if reading.memory_mb < 16 or reading.ssh_timeout <= 0:
        raise InputError("--memory-mb wants at least 16, --ssh-timeout more than 0 seconds")


def follow_files(
    files: Sequence[str], reading: ReadingOptions, live: FollowOptions, kinds: Sequence[str], as_object: bool
) -> int:
    """Follow `files`; return 1 if something was found."""
    from trivet.cli.floods_follow import follow
    from trivet.io.log_tail import LogTail
    from trivet.monitor.flood_live import LiveFloods

    if "-" in files or any(name.startswith("ssh") and ":" in name for name in files):
        raise InputError("only files can be followed; leave --follow out, or run trivet on that machine")
    if live.every <= 0:
        raise InputError("--every must be more than 0 seconds")
    with contextlib.closing(LogTail(files, live.from_start)) as tail:
        floods = LiveFloods(tail, reading.pair_by, reading.format_, reading.memory_mb << 20)
        return asyncio.run(follow(floods, kinds, every_s=live.every, for_s=live.for_, as_object=as_object))


def tell(plan: Plan, outcome: Outcome, as_object: bool, html: Path | None) -> None:
    """Print the report, as an object or as text, write the page, and name the servers that failed."""
    if html:
        from trivet.monitor.flood_page import write_page

        write_page(html, plan, outcome)
    if as_object:
        print(json.dumps(as_json(plan, outcome), ensure_ascii=False))
    else:
        print_text(plan, outcome)
    for server, reason in outcome.failed.items():
        print(f"trivet: {printable(server)} could not be read: {printable(reason)}", file=sys.stderr)


def print_text(plan: Plan, outcome: Outcome) -> None:
    """Print the report of every server, then what only shows over all of them."""
    if plan.day:
        print(f"Flood report for {plan.day.isoformat()}\n")
    for one in outcome.servers:
        print(text_report(one.server, one.report, one.reading))
    if len(outcome.servers) > 1:
        print(f"All servers together\n{summary(outcome.whole)}")
        print("\n".join(findings_lines(outcome.whole)))


def failing_kinds(text: str) -> list[str]:
    """Return the kinds of findings that `--fail-on` names; raises InputError for an unknown one."""
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    if kinds == ["none"]:
        return []
    for kind in kinds:
        if kind not in KINDS:
            raise InputError(f"--fail-on knows {', '.join(KINDS)} and none, not '{kind}'")
    return kinds


def report_day(text: str | None) -> date:
    """Return the day that `--date` names, yesterday when it is not given."""
    if text is None:
        return datetime.now().astimezone().date() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"--date wants a day like 2024-06-05, not '{text}'") from None
