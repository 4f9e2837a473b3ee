"""`trivet floods`: which device, or which fleet, will bring the server down.

Rule: exit code 1 says that something was found (only of the kinds in `--fail-on`, when given).
"""

import json
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from trivet.errors import InputError
from trivet.insight.flood import pairing
from trivet.insight.flood_report import KINDS
from trivet.io.log_sources import names_date, parse_source
from trivet.monitor.flood_run import Outcome, Plan, as_json, run
from trivet.monitor.flood_text import findings_lines, summary, text_report
from trivet.monitor.terminal_text import printable

app = App(name="floods", help="Find devices and fleets in access logs that flood a server.")


@app.default
def floods(
    sources: Annotated[list[str], Parameter(name="SOURCE", negative=())],
    /,
    *,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    html: Path | None = None,
    pair_by: str = "target",
    fail_on: str = ",".join(KINDS),
    date_: Annotated[str | None, Parameter(name="--date")] = None,
    format_: Annotated[str | None, Parameter(name="--format")] = None,
    engine: Literal["auto", "kernel", "regex"] = "auto",
    memory_cap: float = 512,
    ssh_timeout: float = 300,
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
    pair_by
        What counts as the URL: target, path, or path+PARAM (the path and a query parameter's value).
    fail_on
        Kinds of findings that make the exit code 1: lockstep,steady,pace,storms; none for never.
    date_
        The day for {date}, as 2024-06-05; default yesterday.
    format_
        The log format, when detection is not wanted.
    engine
        What reads the lines: the compiled kernel for large logs, else a regular expression; same answers.
    memory_cap
        MiB that requests may take in memory; what does not fit is spilled to temporary files.
    ssh_timeout
        Seconds that fetching one log over ssh may take.
    """
    kinds = failing_kinds(fail_on)
    pairing(pair_by)
    day = report_day(date_)
    if memory_cap < 1 or ssh_timeout <= 0:
        raise InputError("--memory-cap wants at least 1 MiB, --ssh-timeout more than 0 seconds")
    plan = Plan(
        sources=[parse_source(text, day) for text in sources],
        day=day if date_ or any(names_date(text) for text in sources) else None,
        pair_by=pair_by,
        format_name=format_,
        engine=engine,
        memory_cap_bytes=int(memory_cap * 2**20),
        ssh_timeout_s=ssh_timeout,
        now=time.time(),
    )
    with tempfile.TemporaryDirectory(prefix="trivet-floods-") as folder:
        outcome = run(plan, Path(folder))
    tell(plan, outcome, json_, html)
    found = sum(report.count(kinds) for report in (outcome.whole, *(one.report for one in outcome.servers)))
    return 1 if found else 3 if outcome.failed else 0


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
