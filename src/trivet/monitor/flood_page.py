"""The flood report as one HTML page: findings first, the busiest client's hours, fleets as dots in columns.

Rule: a plot never stands alone: its figures are in a table or a sentence beside it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.insight.flood_report import KINDS, FloodReport
from trivet.monitor.chart_files import chart_fragment
from trivet.monitor.flood_run import Outcome, Plan
from trivet.monitor.flood_text import TITLES, summary
from trivet.monitor.html_page import Fragment, heading, page, table, text
from trivet.monitor.terminal_text import printable

WIDTH = 760
MOST_ROWS_HIGH = 480


def write_page(out: Path, plan: Plan, outcome: Outcome) -> None:
    """Write the page on all of `outcome` to `out`: a tab for each server, first one for all together.

    Raises InputError when `out` can't be written.
    """
    tabs: dict[str, list[Fragment]] = {}
    if len(outcome.servers) > 1:
        tabs["All servers"] = list(fragments(outcome.whole, []))
    for one in outcome.servers:
        problems = [*one.reading.problems]
        if one.reading.malformed:
            problems.append(f"{one.reading.malformed:,} of {one.reading.lines:,} lines are malformed")
        tabs[one.server or "Report"] = list(fragments(one.report, problems))
    if outcome.failed:
        rows = [[server or "-", reason] for server, reason in outcome.failed.items()]
        tabs["Not read"] = [table(["Server", "Why"], rows)]
    day = f" for {plan.day.isoformat()}" if plan.day else ""
    requests = sum(one.reading.records for one in outcome.servers)
    servers = len(outcome.servers)
    subtitle = f"{requests:,} requests" + (f" on {servers} servers" if servers > 1 else "")
    try:
        out.write_text(page(f"Floods{day}", tabs, subtitle=subtitle), encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from error


def fragments(report: FloodReport, problems: list[str]) -> Iterator[Fragment]:
    """Yield the parts of one server's tab."""
    yield text(summary(report))
    for problem in problems:
        yield text(problem, note=True)
    for kind in KINDS:
        if report.findings[kind]:
            yield heading(TITLES[kind])
            for finding in report.findings[kind]:
                yield from finding_fragments(finding, report)
    if report.busiest is None:
        return
    yield heading(f"{report.busiest.ip}, the busiest: {report.busiest.hits:,} requests, hour by hour")
    yield chart_fragment(hours_chart(report.busiest.hours), alt="Requests of the busiest client in each hour")
    yield heading("Most frequent pairs of IP and URL")
    yield table(["Requests", "IP", "URL"], [[n, ip, printable(url)] for ip, url, n in report.top_pairs])


def finding_fragments(finding: dict[str, Any], report: FloodReport) -> Iterator[Fragment]:
    """Yield the parts that tell one finding."""
    yield text(printable(finding["why"]))
    devices = finding.get("devices", [])
    who = f" Devices: {', '.join(devices)}." if devices else ""
    span = f"{finding['since']} to {finding['until']}, {finding['requests']:,} requests."
    yield text(printable(span + who), note=True)
    if beats := report.beats.get(finding["why"]):
        yield chart_fragment(
            beats_chart(beats), alt="Each device's requests over time; columns are lock-step"
        )
    rows = [
        [f"{one['file']}:{one['line']}", one["time"], one["ip"], printable(one["url"])]
        for one in finding["examples"]
    ]
    yield table(["Line", "Time", "IP", "URL"], rows, caption="Lines to look at")


def hours_chart(hours: dict[str, int]) -> dict[str, Any]:
    """Return the bar chart of requests in each hour, the silent ones too."""
    values = [{"hour": f"{hour}:00:00", "requests": n} for hour, n in hours.items()]
    return {
        "width": WIDTH,
        "height": 180,
        "data": {"values": values},
        "mark": {"type": "bar", "color": "#1f78b3"},
        "encoding": {
            "x": {"field": "hour", "type": "temporal", "timeUnit": "yearmonthdatehours", "title": None},
            "y": {"field": "requests", "type": "quantitative", "title": "requests an hour"},
            "tooltip": [
                {"field": "hour", "type": "temporal", "format": "%Y-%m-%d %H:00", "title": "hour"},
                {"field": "requests", "type": "quantitative"},
            ],
        },
    }


def beats_chart(beats: list[tuple[str, float]]) -> dict[str, Any]:
    """Return the dots of a fleet: a row a device, time to the right; lock-step shows as columns."""
    devices = len({device for device, _ in beats})
    values = [{"device": device, "minute": round(seconds / 60, 3)} for device, seconds in beats]
    height = min(max(devices * 12, 80), MOST_ROWS_HIGH)
    return {
        "width": WIDTH - 120,
        "height": height,
        "data": {"values": values},
        "mark": {"type": "tick", "thickness": 2, "color": "#1f78b3", "bandSize": max(2, height // devices)},
        "encoding": {
            "x": {"field": "minute", "type": "quantitative", "title": "minutes since the first request"},
            "y": {
                "field": "device",
                "type": "nominal",
                "title": None,
                "axis": {"labels": devices <= 40, "ticks": False},
            },
            "tooltip": [{"field": "device"}, {"field": "minute", "type": "quantitative"}],
        },
    }
