"""`trivet uptime`: probe services, import response times, and say how often they were slow or down.

Rule: what one command needs is imported there: a report over five years takes less than a second.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trivet.errors import InputError
from trivet.insight.uptime import Period, ProbeSample, report_rows
from trivet.io.uptime_store import UptimeStore
from trivet.monitor.terminal_text import printable
from trivet.monitor.uptime_view import text_lines, write_report

if TYPE_CHECKING:
    from trivet.io.http_probe import Target
    from trivet.monitor.uptime_probing import ProbePlan

app = App(name="uptime", help="Say how often services were slow or down, by month, day or hour and place.")
DAY_S = 86_400
#: how far back a report goes without --since
_DEFAULT_DAYS = {"month": None, "day": 90, "hour": 7}


def default_store() -> Path:
    """Return where the store is kept when `--store` is not given."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "trivet" / "uptime.sqlite"


@app.command
def probe(
    urls: Annotated[list[str], Parameter(name="URL", negative=())],
    /,
    *,
    every: float = 60,
    place: str | None = None,
    timeout: float | None = None,
    count: int | None = None,
    keep_raw: float = 14,
    ca_file: Path | None = None,
    store: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Probe URLs until stopped (Ctrl-C) and keep the times; run it on several machines for several places.

    Parameters
    ----------
    urls
        http:// or https:// URLs.
    every
        Seconds from probe to probe.
    place
        The name of where this probe runs; default this machine's name.
    timeout
        Seconds that a probe may take; default 30, or --every when that is less.
    count
        Rounds to probe; without it, until stopped.
    keep_raw
        Days that single samples are kept; hourly figures are kept for good.
    ca_file
        A file with more certificate authorities to trust.
    store
        The store's file; default uptime.sqlite in the user's data folder.
    json_
        Tell each sample as a JSON line.
    """
    from trivet.io.http_probe import parse_target
    from trivet.monitor.uptime_probing import ProbePlan, tls_context

    if every <= 0 or (timeout is not None and timeout <= 0) or keep_raw <= 0 or (count or 1) < 1:
        raise InputError("--every, --timeout, --keep-raw and --count want more than 0")
    plan = ProbePlan(
        targets=[parse_target(url) for url in dict.fromkeys(urls)],
        place=place or socket.gethostname(),
        every_s=every,
        timeout_s=min(30.0, every) if timeout is None else timeout,
        keep_raw_s=keep_raw * DAY_S,
        count=count,
    )
    tls = tls_context(ca_file)
    with contextlib.closing(UptimeStore(store or default_store())) as opened:
        asyncio.run(until_stopped(plan, opened, tls, tell_json if json_ else tell_text))
    return 0


async def until_stopped(
    plan: "ProbePlan", store: UptimeStore, tls: ssl.SSLContext, tell: "Callable[[Target, ProbeSample], None]"
) -> None:
    """Probe until the plan is done or a signal asks to stop."""
    from trivet.monitor.uptime_probing import keep_probing

    probing = asyncio.create_task(keep_probing(plan, store, tls, tell))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, probing.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await probing


def tell_text(target: "Target", sample: ProbeSample) -> None:
    """Print one sample as a line."""
    at = datetime.fromtimestamp(sample.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    phases = [("connect", sample.connect_ms), ("TLS", sample.tls_ms), ("first byte", sample.first_byte_ms)]
    took = ", ".join(f"{name} {value:.1f}" for name, value in phases if value is not None)
    result = printable(sample.error) if sample.error else str(sample.status)
    phases_told = f" ({took})" if took else ""
    print(f"{at} {printable(target.url)} {result}, {sample.total_ms:.1f} ms{phases_told}", flush=True)


def tell_json(target: "Target", sample: ProbeSample) -> None:
    """Print one sample as a JSON line."""
    fields = ("at", "total_ms", "connect_ms", "tls_ms", "first_byte_ms", "status", "error")
    print(json.dumps({"url": target.url, **{name: getattr(sample, name) for name in fields}}), flush=True)


@app.command(name="import")
def import_(
    logs: Annotated[list[str], Parameter(name="LOG", negative=())],
    /,
    *,
    place: str = "log",
    url: str | None = None,
    format_: Annotated[str | None, Parameter(name="--format")] = None,
    store: Path | None = None,
) -> int:
    """Import the response times of access logs that have durations.

    A log imported before goes on where it ended.

    Parameters
    ----------
    logs
        Log files or globs.
    place
        What the report calls the place; a log sees the server's own time, without the way to the user.
    url
        What the report calls the service; default each file's name.
    format_
        The log format, when detection is not wanted.
    store
        The store's file.
    """
    from trivet.io.log_files import expand_paths
    from trivet.monitor.uptime_import import import_log

    with contextlib.closing(UptimeStore(store or default_store())) as opened:
        for path in expand_paths(logs):
            told = import_log(path, opened, place=place, url=url or Path(path).name, format_name=format_)
            left_out = [
                f"{n:,} {what}"
                for n, what in (
                    (told.known_lines, "imported before"),
                    (told.malformed, "malformed"),
                    (told.untimed, "without a duration"),
                )
                if n
            ]
            rest = f" ({', '.join(left_out)})" if left_out else ""
            print(f"{printable(path)}: {told.samples:,} samples{rest}")
    return 0


@app.command
def report(
    *,
    by: Period = "month",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    place: str | None = None,
    url: str | None = None,
    since: str | None = None,
    until: str | None = None,
    chart: Path | None = None,
    store: Annotated[list[Path] | None, Parameter(negative="")] = None,
) -> int:
    """Report availability, shares over 1 s and 10 s, and percentiles by period and place.

    Parameters
    ----------
    by
        The period of a row.
    json_
        Print one JSON object.
    place
        Only this place.
    url
        Only this URL.
    since
        From this day (2024-06-05, UTC); default all months, 90 days, or 7 days of hours.
    until
        To the end of this day; default now.
    chart
        Write a page (.html) or a picture (.svg, .png) to this file.
    store
        The store's file; several, say of several places, are reported together.
    """
    end = min(time.time(), day_start(until) + DAY_S) if until else time.time()
    days = _DEFAULT_DAYS[by]
    start = day_start(since) if since else end - days * DAY_S if days else 0.0
    series = []
    for path in store or [default_store()]:
        with contextlib.closing(UptimeStore(path, must_exist=True)) as opened:
            series += opened.read(since=start, until=end, place=place, url=url)
    rows = report_rows(series, by)
    if chart:
        write_report(chart, rows, series, by)
    if json_:
        print(json.dumps({"by": by, "rows": rows}, ensure_ascii=False))
        return 0
    print("\n".join(text_lines(rows, series)) if rows else "No sample in that time.")
    return 0


def day_start(text: str) -> float:
    """Return the epoch seconds at which the UTC day `text` begins; raises InputError for no day."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise InputError(f"'{text}' is no day like 2024-06-05") from None
