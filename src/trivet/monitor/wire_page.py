"""A capture report as one self-contained HTML page: waterfall, slow ones, errors, hosts, connections.

Rule: tables are cut at a stated number of rows; the page says how many are left out and where they are.
"""

import html
from collections.abc import Sequence
from typing import Any

from trivet.insight.capture_summary import CaptureView
from trivet.insight.exchange import Exchange
from trivet.insight.exchange_ranking import Group, failed, grouped, path_url, slowest
from trivet.monitor.chart_files import chart_fragment
from trivet.monitor.html_page import Fragment, page, table, text
from trivet.monitor.wire_words import connection_words, headline, remark, seconds, size, speaks

CHART_ROWS = 100
TABLE_ROWS = 2000
_COLOURS = {"connect": "#fcbf6f", "send": "#b2de89", "wait": "#a5cee3", "transfer": "#1f78b3"}


def _short(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"


def _whole(words: str) -> Fragment:
    """A cell that no browser breaks: a figure with its unit, an address."""
    return Fragment(f'<span style="white-space:nowrap">{html.escape(words)}</span>')


def _spans(view: CaptureView, one: Exchange, start_ns: int) -> list[tuple[str, float, float]]:
    """Return (phase, start, end) of an exchange in milliseconds since `start_ns`."""
    connect_s = view.connect_s(one)
    marks = [
        ("send", one.request_ns, one.request_end_ns),
        ("wait", one.request_end_ns, one.first_byte_ns),
        ("transfer", one.first_byte_ns, one.end_ns),
    ]
    if connect_s is not None:
        syn_ns = int(view.capture.table.column("syn_ns")[one.stream])
        marks.insert(0, ("connect", syn_ns, syn_ns + int(connect_s * 1e9)))
    return [
        (name, (low - start_ns) / 1e6, (high - start_ns) / 1e6) for name, low, high in marks if low and high
    ]


def waterfall(view: CaptureView, exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """Return a Vega-Lite chart of `exchanges`, one line each, in the order given."""
    start_ns = min(one.began_ns - int((view.connect_s(one) or 0) * 1e9) for one in exchanges)
    rows = []
    for line, one in enumerate(exchanges, 1):
        label = f"{line}. {one.method or '?'} {one.url}"
        for phase, low, high in _spans(view, one, start_ns):
            rows.append(
                {
                    "line": line,
                    "exchange": _short(label, 70),
                    "phase": phase,
                    "from": round(low, 4),
                    "to": round(high, 4),
                    "took": seconds((high - low) / 1e3),
                    "status": "-" if one.status is None else str(one.status),
                    "stream": one.stream,
                    "url": one.url,
                }
            )
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"values": rows},
        "mark": {"type": "bar", "height": 10, "minBandSize": 2},
        "width": 620,
        "height": {"step": 15},
        "encoding": {
            "y": {
                "field": "exchange",
                "type": "nominal",
                "sort": {"field": "line", "op": "min"},
                "title": None,
                "axis": {"labelLimit": 420},
            },
            "x": {
                "field": "from",
                "type": "quantitative",
                "title": "Time / ms",
                "scale": {"zero": False, "nice": False},
            },
            "x2": {"field": "to"},
            "color": {
                "field": "phase",
                "type": "nominal",
                "scale": {"domain": list(_COLOURS), "range": list(_COLOURS.values())},
                "legend": {"orient": "top", "title": None},
            },
            "tooltip": [{"field": name} for name in ("url", "status", "phase", "took", "stream")],
        },
    }


def _cut(rows: int, what: str) -> list[Fragment]:
    left = rows - TABLE_ROWS
    return (
        [text(f"{left:,} more {what} are left out here; --json has them all.", note=True)] if left > 0 else []
    )


def _exchanges(view: CaptureView, exchanges: Sequence[Exchange]) -> list[Fragment]:
    headers = ("stream", "start", "connect", "wait", "transfer", "total", "status", "bytes", "exchange", "")
    rows = (
        (
            str(one.stream),
            _whole(seconds((one.began_ns - view.capture.first_ns) / 1e9)),
            _whole(seconds(view.connect_s(one))),
            _whole(seconds(one.wait_s)),
            _whole(seconds(one.transfer_s)),
            _whole(seconds(one.total_s)),
            "-" if one.status is None else str(one.status),
            _whole(size(one.response_bytes)),
            _short(f"{one.method or '?'} {one.url}", 160),
            _whole(remark(one)),
        )
        for one in exchanges[:TABLE_ROWS]
    )
    return [table(headers, rows), *_cut(len(exchanges), "exchanges")]


def _charted(view: CaptureView, exchanges: Sequence[Exchange]) -> list[Fragment]:
    if not exchanges:
        return [text("No HTTP exchange was read.")]
    shown = exchanges[:CHART_ROWS]
    parts = [chart_fragment(waterfall(view, shown), alt="Waterfall of exchanges")]
    if len(exchanges) > CHART_ROWS:
        parts.append(
            text(f"The chart has the first {CHART_ROWS} of {len(exchanges):,} exchanges.", note=True)
        )
    return [*parts, *_exchanges(view, exchanges)]


def _groups(groups: Sequence[Group], name: str) -> Fragment:
    headers = (name, "count", "errors", "unanswered", "bytes", "wait p50", "wait p95", "slowest")
    rows = (
        (
            group.name,
            group.exchanges,
            group.errors,
            group.unanswered,
            _whole(size(group.bytes)),
            _whole(seconds(group.wait_p50_s)),
            _whole(seconds(group.wait_p95_s)),
            _whole(seconds(group.total_max_s)),
        )
        for group in groups[: TABLE_ROWS // 4]
    )
    return table(headers, rows)


def _connections(view: CaptureView) -> list[Fragment]:
    streams = view.streams()
    headers = (
        "stream", "start", "handshake", "lasted", "requests", "up", "down", "client", "server", "speaks", "",
    )  # fmt: skip
    rows = (
        (
            str(row.stream),
            _whole(seconds(row.start_s)),
            _whole(seconds(row.handshake_s)),
            _whole(seconds(row.duration_s)),
            row.requests if row.spoken != "tls" or row.requests else "?",
            _whole(size(row.bytes_up)),
            _whole(size(row.bytes_down)),
            _whole(row.client),
            _whole(row.server),
            speaks(row),
            connection_words(row),
        )
        for row in map(view.row, streams[:TABLE_ROWS])
    )
    return [table(headers, rows), *_cut(len(streams), "connections")]


def report_page(view: CaptureView, told: Sequence[str], name: str) -> str:
    """Return the HTML report of `view`; `told` are the notes, `name` that of the capture."""
    exchanges = view.exchanges
    slow, wrong = slowest(exchanges, CHART_ROWS), failed(exchanges)
    tabs: dict[str, list[Fragment]] = {
        "Exchanges": [*(text(note, note=True) for note in told), *_charted(view, exchanges)],
        "Slowest": _exchanges(view, slow),
        f"Errors ({len(wrong):,})": _exchanges(view, wrong) if wrong else [text("None.")],
        "Hosts and URLs": [
            _groups(grouped(exchanges, lambda one: one.host or "?"), "host"),
            _groups(grouped(exchanges, path_url), "URL without query"),
        ],
        "Connections": _connections(view),
    }
    return page(f"Capture {name}", tabs, subtitle=headline(view.totals()))
