"""The flood report of one server: the tables and all findings, in the shape other programs read.

Rule: what is told once is not told again: a device of a fleet is not also steady, a fleet's URL no storm.
Rule: every finding says why, since when, who, how many, and names lines to look at.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np

from trivet.insight.arrival_shortening import Part
from trivet.insight.arrivals import Arrivals, concatenate, stamp
from trivet.insight.fleets import LockstepFinding, find_lockstep
from trivet.insight.flood import TOP, Busiest, busiest, ip_ranking, top_pairs
from trivet.insight.log_time import LogTime, log_time, tick_counts
from trivet.insight.pace import PaceFinding, StormFinding, find_pace_changes, find_storms
from trivet.insight.steady import SteadyFinding, find_steady

KINDS = ("lockstep", "steady", "pace", "storms")
EXAMPLES = 3
PLOT_PERIODS = 12
MOST_BEATS = 2000
Finding: TypeAlias = LockstepFinding | SteadyFinding | PaceFinding | StormFinding


@dataclass(slots=True)
class FloodReport:
    """What one server's log says: `top_pairs` (ip, url, n), `busiest`, and the findings as JSON objects."""

    top_pairs: list[tuple[str, str, int]] = field(default_factory=list)
    busiest: Busiest | None = None
    findings: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    far_stamps: int = 0
    #: paths with more requests than there was memory for, and how they were judged
    shortened: list[str] = field(default_factory=list)
    #: for plots: a fleet's `why` -> (device, seconds since the first) of its first requests
    beats: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def count(self, kinds: Sequence[str] = KINDS) -> int:
        """Return how many findings of these `kinds` there are."""
        return sum(len(self.findings[kind]) for kind in kinds)

    def as_json(self) -> dict[str, Any]:
        """Return the report in the shape of `trivet floods --json`."""
        return {
            "top_pairs": [list(row) for row in self.top_pairs],
            "busiest": self.busiest
            and {"ip": self.busiest.ip, "hits": self.busiest.hits, "hours": self.busiest.hours},
            **self.findings,
        }


def analyse(arrivals: Arrivals, now: float) -> FloodReport:
    """Return the report on a log held in memory; `now` (epoch seconds) ends the hours shown."""
    if not len(arrivals):
        return FloodReport()
    time = log_time(tick_counts(arrivals.t, arrivals.offset_s), now)
    part = Part(arrivals, [arrivals], "")
    return analyse_parts([part], [part], time)


def analyse_parts(by_url: Iterable[Part], by_ip: Iterable[Part], time: LogTime) -> FloodReport:
    """Return the report on a log handed over twice in parts: all of a path in one part, all of an IP in one.

    Both may be read lazily, one part in memory at a time; pairs are counted in `by_ip`, and of it the rows of
    the busiest are kept.
    """
    report = FloodReport(far_stamps=time.far)
    devices: set[str] = set()
    for part in by_url:
        if part.left_out:
            report.shortened.append(f"{_most_asked(part.judged)}: {part.left_out}")
        believed = time.believed(part.judged)
        fleets = find_fleets_by_target_and_path(believed)
        devices.update(device for fleet in fleets for device in fleet.devices)
        tell(report, believed, "lockstep", fleets)
        tell(report, believed, "storms", find_storms(believed, time, {fleet.url for fleet in fleets}))
    top: Arrivals | None = None
    fewest = 0
    for part in by_ip:
        for rows in part.counted:
            least = report.top_pairs[-1][2] if len(report.top_pairs) == TOP else 1
            report.top_pairs = merged(report.top_pairs, top_pairs(rows, at_least=least))
        believed = time.believed(part.judged)
        tell(report, believed, "pace", find_pace_changes(believed, time, devices))
        leaders = np.array([ip for ip, n in ip_ranking(part.judged) if n >= fewest], dtype=np.int64)
        if len(leaders):
            mine = part.judged.select(np.isin(part.judged.ip, leaders)).compact()
            top = mine if top is None else leading(top, mine)
            fewest = ip_ranking(top)[-1][1] if len(top.ips) >= TOP else 0
    if top is not None:
        report.busiest = busiest(top, time.shown)
        believed = time.believed(top)
        tell(report, believed, "steady", find_steady(believed, time.hours, devices))
    report.findings["lockstep"].sort(key=itemgetter("since", "url", "period_s"))
    for kind in ("storms", "pace"):
        report.findings[kind].sort(key=itemgetter("requests"), reverse=True)
    return report


def _most_asked(arrivals: Arrivals) -> str:
    """Return the path that most of `arrivals` ask for."""
    hits = np.bincount(arrivals.url, minlength=1)
    return arrivals.urls[int(np.argmax(hits))].partition("?")[0] if len(arrivals) else "a path"


def merged(rows: list[tuple[str, str, int]], more: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Return the most frequent of two lists of (ip, url, n) that share no pair."""
    return sorted(rows + more, key=lambda row: (-row[2], row[0], row[1]))[:TOP]


def leading(rows: Arrivals, more: Arrivals) -> Arrivals:
    """Return the rows of the busiest clients out of two tables that share no client."""
    both = concatenate(rows, more)
    leaders = np.array([ip for ip, _ in ip_ranking(both)], dtype=np.int64)
    return both.select(np.isin(both.ip, leaders)).compact()


def find_fleets_by_target_and_path(arrivals: Arrivals) -> list[LockstepFinding]:
    """Return the fleets by whole URL, then those that only show when the query string is left out.

    Devices that send their id or a nonce in the query never ask for the same URL twice.
    """
    fleets = find_lockstep(arrivals)
    paths = [url.partition("?")[0] for url in arrivals.urls]
    spellings = Counter(paths)
    rows = np.flatnonzero(np.array([spellings[path] > 1 for path in paths], dtype=bool)[arrivals.url])
    if not len(rows):
        return fleets
    known = {(fleet.url.partition("?")[0], device) for fleet in fleets for device in fleet.devices}
    by_path = arrivals.select(rows).with_urls(paths)
    for fleet in find_lockstep(by_path):
        if sum((fleet.url, device) in known for device in fleet.devices) * 2 < len(fleet.devices):
            fleets.append(replace(fleet, rows=rows[fleet.rows]))
    return fleets


def tell(report: FloodReport, arrivals: Arrivals, kind: str, findings: Sequence[Finding]) -> None:
    """Add `findings` of one `kind` to `report` as JSON objects with example lines out of `arrivals`."""
    report.findings[kind] += [as_json(finding, arrivals) for finding in findings]
    for finding in findings:
        if isinstance(finding, LockstepFinding):
            rows = finding.rows[arrivals.t[finding.rows] < finding.since + PLOT_PERIODS * finding.period_s]
            rows = rows[:MOST_BEATS]
            devices = [arrivals.ips[ip] for ip in arrivals.ip[rows]]
            seconds = (arrivals.t[rows] - finding.since).tolist()
            report.beats[finding.why()] = list(zip(devices, seconds, strict=True))


def as_json(finding: Finding, arrivals: Arrivals) -> dict[str, Any]:
    """Return one `finding` as the object that `--json` prints."""
    rows = finding.rows
    zone = int(arrivals.offset_s[rows[0]])
    shared = {
        "since": stamp(finding.since, zone),
        "until": stamp(finding.until, zone),
        "requests": finding.requests,
        "why": finding.why(),
        "examples": [example(arrivals, int(row)) for row in rows[:EXAMPLES]],
    }
    match finding:
        case LockstepFinding():
            own: dict[str, Any] = {
                "url": finding.url,
                "period_s": round(finding.period_s, 2),
                "devices": finding.devices,
                "rayleigh_r": round(finding.rayleigh_r, 4),
            }
        case SteadyFinding():
            own = {"ip": finding.ip, "per_hour": finding.per_hour, "urls": finding.urls}
        case PaceFinding():
            own = {"ip": finding.ip}
        case StormFinding():
            own = {"url": finding.url, "clients": finding.clients}
    if isinstance(finding, PaceFinding | StormFinding):
        own |= {"usual": round(finding.usual, 1), "peak": finding.peak, "bin_s": finding.bin_s}
    return own | shared


def example(arrivals: Arrivals, row: int) -> dict[str, Any]:
    """Return where one request stands and what it was."""
    return {
        "file": arrivals.files[arrivals.file[row]],
        "line": int(arrivals.line[row]),
        "time": stamp(float(arrivals.t[row]), int(arrivals.offset_s[row])),
        "ip": arrivals.ips[arrivals.ip[row]],
        "url": arrivals.urls[arrivals.url[row]],
    }
