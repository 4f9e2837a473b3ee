"""The report of `trivet logs` as one self-contained HTML page with charts of the traffic.

Rule: the figures are those of the text report; a chart has at most MOST_BARS bars, however long the log.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trivet.insight.logs.alert import AlertChanged
from trivet.insight.logs.bots import is_robot
from trivet.monitor.chart_files import chart_fragment
from trivet.monitor.html_page import Fragment, page, table, text
from trivet.monitor.logs.batch import LogReading
from trivet.monitor.logs.report import (
    alert_text,
    clipped,
    moment,
    notes,
    robot_hits,
    seconds_text,
    size_text,
)
from trivet.wire.access_log import escape

MOST_BARS = 200
_STEPS_S = (1, 10, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400, 36500 * 86400)


def html_report(reading: LogReading, alerts: Sequence[AlertChanged]) -> str:
    """Return the whole page."""
    summary = reading.summary
    names = ", ".join(f.path for f in reading.files[:3])
    more = f" and {len(reading.files) - 3} more" if len(reading.files) > 3 else ""
    sections = [(escape(name), hits, size_text(size)) for name, (hits, size) in summary.sections.items()]
    pairs = [(escape(ip), _short(url), hits) for ip, url, hits in summary.top_pairs]
    agents = [(_short(a), "robot" if is_robot(a) else "", hits) for a, hits in summary.agents[:50]]
    slow = [(_short(u.url), u.hits, seconds_text(u.mean_s), seconds_text(u.max_s)) for u in summary.slow_urls]
    tabs: dict[str, list[Fragment]] = {
        "Traffic": _traffic(reading),
        "Sections": [table(("Section", "Hits", "Sent"), sections[:200])],
        "URLs": [table(("URL", "Hits"), [(_short(url), hits) for url, hits in summary.top_urls])],
        "Addresses": [
            table(("Address", "Hits"), [(escape(ip), hits) for ip, hits in summary.top_ips]),
            table(("Address", "URL", "Hits"), pairs, caption="Who asks most for what"),
        ],
        "Agents": [
            text(f"{robot_hits(reading):,} of {summary.records:,} requests come from robots and scripts."),
            table(("Agent", "", "Hits"), agents),
            table(("Referrer", "Hits"), [(_short(ref), hits) for ref, hits in summary.referrers]),
        ],
    }
    if slow:
        tabs["Slow"] = [table(("URL", "Hits", "Mean", "Longest"), slow)]
    if alerts:
        tabs["Alerts"] = [table(("Alert",), [(alert_text(change),) for change in alerts[-500:]])]
    subtitle = f"{reading.format_name} format, read by the {reading.engine.name} engine"
    return page(f"Access logs: {names}{more}", tabs, subtitle=subtitle)


def _short(raw: bytes) -> str:
    return clipped(escape(raw), 200)


def _traffic(reading: LogReading) -> list[Fragment]:
    summary = reading.summary
    figures: list[tuple[str, object]] = [
        ("Lines", summary.lines),
        ("Records", summary.records),
        ("Bad requests", summary.bad_requests),
        ("Malformed lines", summary.malformed),
        ("Sent", size_text(summary.bytes_sum)),
        ("Addresses", summary.distinct_ips),
        ("(address, URL) pairs", summary.distinct_pairs),
        *summary.status_classes().items(),
    ]
    latency = reading.latency.figures()
    if latency:
        figures += [
            ("Latency, median", seconds_text(latency.p50_s)),
            ("Latency, p95", seconds_text(latency.p95_s)),
            ("Latency, p99", seconds_text(latency.p99_s)),
        ]
    said = [text(note, note=True) for note in notes(reading)]
    return [*said, *_charts(reading), table(("Figure", "Value"), figures)]


def _charts(reading: LogReading) -> list[Fragment]:
    """Return charts of requests by kind and of bytes over time, where the log has times."""
    rows = reading.series.rows()
    if len(rows) < 2:
        return []
    span = int(rows[-1, 0] - rows[0, 0]) + 1
    step = next((s for s in _STEPS_S if span <= s * MOST_BARS), _STEPS_S[-1])
    bins = rows[:, 0] // step * step
    starts = np.flatnonzero(np.r_[True, bins[1:] != bins[:-1]])
    sums = np.add.reduceat(rows, starts, axis=0).tolist()
    values: list[dict[str, Any]] = []
    for start, (_, hits, size, client, server) in zip(bins[starts].tolist(), sums, strict=True):
        at = {"time": start * 1000, "to": (start + step) * 1000, "sent": size}
        kinds = (("well", hits - client - server), ("4xx", client), ("5xx", server))
        values += [
            {**at, "kind": kind, "requests": n, "sent": size if kind == "well" else 0} for kind, n in kinds
        ]
    note = f"from {moment(int(rows[0, 0]))} to {moment(int(rows[-1, 0]))}, a bar is {_width_text(step)}"
    return [
        text(note, note=True),
        chart_fragment(_bars(values, "requests", "Requests"), alt="Requests over time by status class"),
        chart_fragment(_bars(values, "sent", "Bytes sent"), alt="Bytes sent over time"),
    ]


def _width_text(step_s: int) -> str:
    """Return a bar's width in the largest unit that it is a whole number of."""
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    unit_s, name = next((size, name) for size, name in units if step_s % size == 0)
    count = step_s // unit_s
    return f"{count} {name}" if count == 1 else f"{count:,} {name}s"


def _bars(values: list[dict[str, Any]], field: str, title: str) -> dict[str, Any]:
    """Return the spec of a bar chart of `field` over time, coloured by kind where it is requests."""
    colours = {"domain": ["well", "4xx", "5xx"], "range": ["#1f78b3", "#fdbf6f", "#e31a1c"]}
    days = values[0]["to"] - values[0]["time"] >= 86_400_000
    axis = {"format": "%d %b %Y" if days else "%d %b %H:%M", "labelOverlap": True}
    encoding: dict[str, Any] = {
        "x": {"field": "time", "type": "temporal", "scale": {"type": "utc"}, "title": None, "axis": axis},
        "x2": {"field": "to"},
        "y": {
            "field": field,
            "type": "quantitative",
            "aggregate": "sum",
            "title": title,
            "axis": {"format": "~s"},
        },
        "tooltip": [
            {"field": "time", "type": "temporal", "format": "%Y-%m-%d %H:%M:%S", "title": "from"},
            {"field": field, "type": "quantitative", "aggregate": "sum", "title": title, "format": ","},
        ],
    }
    if field == "requests":
        encoding["color"] = {"field": "kind", "type": "nominal", "scale": colours, "title": None}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 900,
        "height": 180,
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 0},
        "encoding": encoding,
    }
