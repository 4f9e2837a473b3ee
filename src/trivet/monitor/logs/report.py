"""What `trivet logs` tells of a log it has read: JSON for programs, text for people.

Rule: the JSON's names are a contract; text and HTML say the same figures.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from trivet.insight.logs.alert import AlertChanged
from trivet.insight.logs.alert_watch import as_json as alerts_as_json
from trivet.insight.logs.bots import is_robot
from trivet.insight.logs.distinct import STANDARD_ERROR
from trivet.insight.logs.summary import TOP
from trivet.monitor.logs.batch import MOST_LISTED, LogReading
from trivet.wire.access_log import escape

#: rows of a table in the text report
_ROWS = 10
_ALERTS = 20


def json_report(reading: LogReading, alerts: Sequence[AlertChanged]) -> dict[str, Any]:
    """Return everything that is known of the log, in the shape that other programs rely on."""
    summary = reading.summary
    report = summary.as_json(reading.malformed_lines)
    latency = reading.latency.figures()
    report |= {
        "engine": reading.engine.name,
        "engine_why": reading.engine.why,
        "format": reading.format_name,
        "files": [
            {"path": f.path, "format": f.format_name, "packing": f.packing, "lines": f.lines}
            for f in reading.files
        ],
        "agents": [[escape(agent), hits, is_robot(agent)] for agent, hits in summary.agents[:TOP]],
        "robot_hits": robot_hits(reading),
        "referrers": [[escape(referrer), hits] for referrer, hits in summary.referrers],
        "latency": asdict(latency) if latency else None,
        "slow_urls": [
            {"url": escape(slow.url), "hits": slow.hits, "mean_s": slow.mean_s, "max_s": slow.max_s}
            for slow in summary.slow_urls
        ],
        "alerts": alerts_as_json(alerts),
        "problems": notes(reading),
        "approximate": dict(summary.undercount),
    }
    return report


def robot_hits(reading: LogReading) -> int:
    """Return how many requests came from user agents that say they are robots."""
    return sum(hits for agent, hits in reading.summary.agents if is_robot(agent))


def notes(reading: LogReading) -> list[str]:
    """Return what a reader of the report must know besides the figures."""
    found = list(reading.problems)
    if reading.summary.malformed > MOST_LISTED:
        found.append(f"the numbers of the first {MOST_LISTED} malformed lines are listed, all are counted")
    undercount = {name: most for name, most in reading.summary.undercount.items() if most}
    if undercount:
        bounds = ", ".join(f"{name} by at most {most}" for name, most in sorted(undercount.items()))
        found.append(
            f"approximate: memory was out, figures of single names may be too low ({bounds});"
            f" distinct addresses and pairs may be estimates with a standard error of {STANDARD_ERROR:.1%};"
            " lines, records, status and bytes are exact"
        )
    return found


def text_report(reading: LogReading, alerts: Sequence[AlertChanged]) -> str:
    """Return the report as text for a terminal or a file."""
    return "\n".join(_lines(reading, alerts)) + "\n"


def _lines(reading: LogReading, alerts: Sequence[AlertChanged]) -> Iterator[str]:
    s = reading.summary
    names = [f.path for f in reading.files]
    yield f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
    yield f"  format {reading.format_name}, engine {reading.engine.name} ({reading.engine.why})"
    rows = reading.series.rows()
    if len(rows):
        yield f"  from {moment(int(rows[0, 0]))} to {moment(int(rows[-1, 0]))}"
    yield f"  {s.lines} lines: {s.records} records ({s.bad_requests} bad requests), {s.malformed} malformed"
    pairs_text = f"{s.distinct_pairs} (address, URL) pairs"
    yield f"  {size_text(s.bytes_sum)} sent, {s.distinct_ips} addresses, {pairs_text}"
    yield "  " + ", ".join(f"{name} {count}" for name, count in s.status_classes().items())
    latency = reading.latency.figures()
    if latency:
        yield (
            f"  latency: median {seconds_text(latency.p50_s)}, p95 {seconds_text(latency.p95_s)},"
            f" p99 {seconds_text(latency.p99_s)}, longest {seconds_text(latency.max_s)}"
        )
    for note in notes(reading):
        yield f"  note: {note}"
    sections = [(hits, size_text(size), escape(name)) for name, (hits, size) in s.sections.items()]
    yield from _table("Sections", ("hits", "bytes", "section"), sections)
    yield from _table("Addresses", ("hits", "address"), [(n, escape(ip)) for ip, n in s.top_ips])
    pairs = [(n, escape(ip), escape(url)) for ip, url, n in s.top_pairs]
    yield from _table("Addresses and what they ask for", ("hits", "address", "URL"), pairs)
    yield from _table("URLs", ("hits", "URL"), [(n, escape(url)) for url, n in s.top_urls])
    slow = [(seconds_text(u.mean_s), seconds_text(u.max_s), u.hits, escape(u.url)) for u in s.slow_urls]
    yield from _table("Slowest URLs", ("mean", "longest", "hits", "URL"), slow)
    share = f" ({robot_hits(reading) / s.records:.1%} of requests by robots, marked *)" if s.records else ""
    agents = [(n, "*" if is_robot(agent) else "", escape(agent)) for agent, n in s.agents[:_ROWS]]
    yield from _table(f"User agents{share}", ("hits", "", "agent"), agents)
    yield from _table("Referrers", ("hits", "referrer"), [(n, escape(ref)) for ref, n in s.referrers])
    if alerts:
        yield ""
        raised = sum(change.raised for change in alerts)
        yield f"Alerts: {raised} raised" + (f", the last {_ALERTS} lines" if len(alerts) > _ALERTS else "")
        for change in alerts[-_ALERTS:]:
            yield "  " + alert_text(change)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[str]:
    """Yield a table with its last column left free to run on; nothing where there are no rows."""
    if not rows:
        return
    yield ""
    yield title + (f" (the first {_ROWS} of {len(rows)})" if len(rows) > _ROWS else "")
    cells = [list(heads), *([str(cell) for cell in row] for row in rows[:_ROWS])]
    widths = [max(len(row[k]) for row in cells) for k in range(len(heads) - 1)]
    for row in cells:
        front = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        yield f"  {front}  {clipped(row[-1])}"


def clipped(text: str, width: int = 120) -> str:
    """Return `text` in one line of at most `width` characters; control characters are shown escaped."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "\u2026"


def alert_text(change: AlertChanged) -> str:
    """Return one line that says what an alert is about."""
    units = {"bytes": "bytes", "hits": "hits", "errors": "errors", "p95": "s p95"}[change.watched]
    verb = "ALERT raised" if change.raised else "alert cleared"
    return (
        f"{moment(change.time_s)} {verb}: short average {change.short_average:.6g} {units} a window,"
        f" long average {change.long_average:.6g} x {change.threshold:g}; {change.rate:.3g} requests/s"
    )


def moment(time_s: int) -> str:
    """Return a Unix time as text in UTC."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"second {time_s}"


def size_text(size_bytes: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def seconds_text(seconds: float) -> str:
    """Return a duration as people read it."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
