"""One run of `trivet floods`: fetch the sources, read them server by server, judge each and the whole.

Rule: a server that can't be had is told and the others are reported.
Rule: several servers are also judged as one: behind a balancer a fleet is spread over them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from trivet.errors import InputError, NotFound, TrivetError
from trivet.insight.arrival_builder import Batch
from trivet.insight.flood_report import FloodReport
from trivet.io.log_files import expand_paths
from trivet.io.log_sources import LogSource, fetch_all
from trivet.monitor.flood_collect import Collector
from trivet.monitor.flood_reading import Reading, Taker, read_files


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read and how; `now` (epoch seconds) ends the hours shown, `day` is told in the report."""

    sources: Sequence[LogSource]
    now: float
    day: date | None = None
    pair_by: str = "target"
    format_name: str | None = None
    engine: str = "auto"
    memory_cap_bytes: int = 512 << 20
    ssh_timeout_s: float = 300.0


@dataclass(slots=True)
class ServerReport:
    """The report on one `server` and how its reading went."""

    server: str
    report: FloodReport
    reading: Reading


@dataclass(slots=True)
class Outcome:
    """What a run gives: each server's report, the `whole`, and the servers that `failed` with the reason."""

    servers: list[ServerReport] = field(default_factory=list)
    whole: FloodReport = field(default_factory=FloodReport)
    failed: dict[str, str] = field(default_factory=dict)


class Both:
    """Hands each request to two takers."""

    def __init__(self, first: Taker, second: Taker) -> None:
        self._takers = first, second

    def add(self, ip: bytes, url: bytes, t: float, offset_s: int, file: str, line: int) -> None:
        """Take in one request."""
        for taker in self._takers:
            taker.add(ip, url, t, offset_s, file, line)

    def add_batch(self, batch: Batch, file: str) -> None:
        """Take in a batch of requests."""
        for taker in self._takers:
            taker.add_batch(batch, file)


def run(plan: Plan, folder: Path) -> Outcome:
    """Carry out `plan` with temporary files in `folder`; raises the error when no server could be read."""
    fetched = fetch_sources(plan, folder)
    outcome = Outcome()
    servers = list(dict.fromkeys(source.server for source in plan.sources))
    cap = plan.memory_cap_bytes // (2 if len(servers) > 1 else 1)
    together = Collector(cap, folder / "whole")
    errors: list[TrivetError] = []
    for number, server in enumerate(servers):
        collector = Collector(cap, folder / f"server-{number}")
        taker: Taker = Both(collector, together) if len(servers) > 1 else collector
        try:
            paths = local_paths([(s, fetched.get(s)) for s in plan.sources if s.server == server])
            reading = read_files(
                paths, taker, pair_by=plan.pair_by, format_name=plan.format_name, engine=plan.engine,
                memory_bytes=cap,
            )  # fmt: skip
        except TrivetError as error:
            errors.append(error)
            outcome.failed[server] = str(error)
            continue
        report = collector.report(plan.now)
        note_times(reading, collector, report)
        outcome.servers.append(ServerReport(server, report, reading))
    if errors and not outcome.servers:
        raise errors[0]
    outcome.whole = together.report(plan.now) if len(servers) > 1 else outcome.servers[0].report
    return outcome


def fetch_sources(plan: Plan, folder: Path) -> dict[LogSource, Path | TrivetError]:
    """Return the fetched file, or the error, of every ssh source."""
    remote = [source for source in plan.sources if source.host]
    if not remote:
        return {}
    return dict(zip(remote, asyncio.run(fetch_all(remote, folder, plan.ssh_timeout_s)), strict=True))


def local_paths(sources: Sequence[tuple[LogSource, Path | TrivetError | None]]) -> list[tuple[str, str]]:
    """Return the (path, name to show) of all files of one server; raises what stood in the way of any."""
    paths: list[tuple[str, str]] = []
    for source, fetched in sources:
        if isinstance(fetched, TrivetError):
            raise fetched
        if fetched is not None:
            paths.append((str(fetched), str(source)))
            continue
        try:
            paths += [(path, path) for path in expand_paths([source.path])]
        except (InputError, NotFound) as error:
            raise type(error)(f"{source.server}: {error}" if source.server else str(error)) from None
    return paths


def note_times(reading: Reading, collector: Collector, report: FloodReport) -> None:
    """Tell in `reading` what was odd about the log's clock and size."""
    if collector.backwards:
        reading.problems.append(
            f"the clock goes back {collector.backwards:,} times; requests are ordered by their stamps"
        )
    if report.far_stamps:
        reading.problems.append(
            f"{report.far_stamps:,} requests are stamped over 400 days from the rest; counted, but in no hour"
        )
    reading.problems += [
        f"more requests than --memory-mb holds for {words}; counts are exact" for words in report.shortened
    ]
    if collector.spilled_rows:
        reading.problems.append(f"{collector.spilled_rows:,} requests passed --memory-mb and went to disk")


def as_json(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Return the object of `trivet floods --json`."""
    only = outcome.servers[0] if len(outcome.servers) == 1 else None
    told: dict[str, Any] = {"date": plan.day.isoformat()} if plan.day else {}
    told |= outcome.whole.as_json()
    if only:
        told |= {"server": only.server, "reading": only.reading.as_json()}
    else:
        told["servers"] = [
            {"server": one.server, **one.report.as_json(), "reading": one.reading.as_json()}
            for one in outcome.servers
        ]
    return told | {"failed": outcome.failed}
