"""The flood report as plain text, for a terminal or a daily mail.

Rule: log contents reach the terminal only through `printable`: an escape sequence in a URL stays text.
"""

from collections.abc import Iterator
from typing import Any

from trivet.insight.flood_report import KINDS, FloodReport
from trivet.monitor.flood_reading import Reading
from trivet.monitor.terminal_text import printable

TITLES = {
    "lockstep": "Lock-step fleets",
    "steady": "Clients on a steady pace",
    "pace": "Clients whose pace changed",
    "storms": "URL storms",
}
NOTHING = "Found no fleet in lock-step, no steady pace, no change of pace, no storm."
MOST_NAMED = 12
BAR_WIDTH = 40


def text_report(server: str, report: FloodReport, reading: Reading) -> str:
    """Return the whole report of one `server` ('' for a single nameless one)."""
    return "\n".join(lines_of(server, report, reading)) + "\n"


def lines_of(server: str, report: FloodReport, reading: Reading) -> Iterator[str]:
    """Yield the report's lines."""
    formats = ", ".join(sorted(set(reading.formats.values()))) or "no format"
    head = f"server {printable(server)}: " if server else ""
    yield f"{head}{reading.records:,} requests ({formats}), {reading.malformed:,} malformed lines"
    for problem in reading.problems:
        yield f"! {printable(problem)}"
    yield summary(report)
    if report.busiest is None:
        yield "There is no request in the log."
        return
    yield ""
    yield f"Most frequent of all pairs of IP and URL ({len(report.top_pairs)}), the most frequent last"
    for ip, url, n in reversed(report.top_pairs):
        yield f"{n:>9,} {printable(ip)} {printable(url)}"
    yield ""
    yield f"{printable(report.busiest.ip)} asked most: {report.busiest.hits:,} requests, hour by hour"
    peak = max(report.busiest.hours.values(), default=0)
    for hour, n in report.busiest.hours.items():
        yield f"{hour} {n:>7,} {'█' * round(BAR_WIDTH * n / peak)}".rstrip() if n else hour
    if report.count():
        yield ""
        yield from findings_lines(report)


def summary(report: FloodReport) -> str:
    """Return in one line what was found."""
    found = [f"{TITLES[kind]} ({len(report.findings[kind])})" for kind in KINDS if report.findings[kind]]
    return f"Found: {', '.join(found)}." if found else NOTHING


def findings_lines(report: FloodReport) -> Iterator[str]:
    """Yield the lines that tell all findings of a report."""
    for kind in KINDS:
        if report.findings[kind]:
            yield f"{TITLES[kind]}: {len(report.findings[kind])} found"
            for finding in report.findings[kind]:
                yield from finding_lines(finding)


def finding_lines(finding: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that tell one `finding`."""
    yield f"* {printable(finding['why'])}"
    yield f"    {finding['since']} to {finding['until']}, {finding['requests']:,} requests"
    devices = finding.get("devices", [])
    if devices:
        more = f" and {len(devices) - MOST_NAMED} more" if len(devices) > MOST_NAMED else ""
        yield f"    {', '.join(map(printable, devices[:MOST_NAMED]))}{more}"
    for line in finding["examples"]:
        where = f"{line['file']}:{line['line']}"
        yield f"    {printable(where)}: {line['time']} {printable(line['ip'])} {printable(line['url'])}"
