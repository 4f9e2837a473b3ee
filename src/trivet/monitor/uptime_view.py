"""The uptime report for people: a table with bars for the terminal, charts for HTML, SVG and PNG.

Rule: the page holds the chart as a picture: the table below has its figures, and it is there in a second.
Rule: a period in which nobody probed says so; it is neither good nor bad.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.insight.uptime import Series
from trivet.monitor.chart_files import chart_svg, write_chart
from trivet.monitor.html_page import Fragment, heading, image, page, table, text
from trivet.monitor.terminal_text import printable

Row = dict[str, Any]
BAR_WIDTH = 30
MOST_OUTAGES = 20
CHART_WIDTH = 760
HEADERS = (
    "Period", "Available %", "Over 1 s %", "Over 10 s %", "p50 ms", "p95 ms", "p99 ms", "Samples",
    "Not probed", "Outages",
)  # fmt: skip
FACET_HEADER = {"labelOrient": "top", "labelAngle": 0, "labelAnchor": "start"}
#: over 1 s, over 10 s, no answer
COLOURS = ("#a5cee3", "#1f78b3", "#d7263d")


def percent(share: float | None) -> str:
    """Return `share` as a percentage that never rounds a failure away."""
    if share is None:
        return "-"
    shown = f"{share * 100:.2f}"
    if shown == "100.00" and share < 1:
        return ">99.99"
    return "<0.01" if shown == "0.00" and share > 0 else shown


def duration(seconds: float) -> str:
    """Return `seconds` in the largest unit that keeps it readable."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds else ""


def milliseconds(value: float | None) -> str:
    """Return a time in ms, or a dash."""
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def by_series(rows: Sequence[Row]) -> Iterator[tuple[tuple[str, str], list[Row]]]:
    """Yield ((place, URL), its rows in order of time)."""
    ordered = sorted(rows, key=lambda row: (row["place"], row["url"], row["period"]))
    for key, own in groupby(ordered, key=lambda row: (row["place"], row["url"])):
        yield key, list(own)


def text_lines(rows: Sequence[Row], series: Sequence[Series]) -> Iterator[str]:
    """Yield the report for a terminal: a table for each place and URL, then the latest outages."""
    for (place, url), own in by_series(rows):
        yield f"{printable(url)} from {printable(place)}"
        yield (
            f"{'period':<13} {'avail. %':>8} {'>1 s %':>7} {'>10 s %':>7} {'p50 ms':>8} {'p95 ms':>8} "
            f"{'samples':>9} {'not probed':>10}  share over 1 s (░) and 10 s (█)"
        )
        peak = max((row["over_1s"] or 0.0) for row in own) or 1.0
        for row in own:
            yield (
                f"{row['period']:<13} {percent(row['availability']):>8} {percent(row['over_1s']):>7} "
                f"{percent(row['over_10s']):>7} {milliseconds(row['p50_ms']):>8} "
                f"{milliseconds(row['p95_ms']):>8} {row['samples']:>9,} {duration(row['gaps_s']):>10}  "
                f"{bar(row, peak)}"
            ).rstrip()
        yield ""
    yield from outage_lines(series)


def bar(row: Row, peak: float) -> str:
    """Return the bar of one row: its shares over 1 s and 10 s against the longest bar's."""
    slow = round(BAR_WIDTH * (row["over_1s"] or 0.0) / peak)
    very_slow = min(slow, round(BAR_WIDTH * (row["over_10s"] or 0.0) / peak))
    return "█" * very_slow + "░" * (slow - very_slow)


def outage_lines(series: Sequence[Series]) -> Iterator[str]:
    """Yield the latest outages, newest first."""
    outages = latest_outages(series)
    if outages:
        total = sum(len(one.outages) for one in series)
        more = f", the latest {len(outages)} of {total}" if total > len(outages) else ""
        yield f"Outages{more}:"
    for row in outages:
        yield "  " + "  ".join(printable(cell) for cell in row)


def latest_outages(series: Sequence[Series]) -> list[list[str]]:
    """Return (since, how long, place, URL, why) of the latest outages, newest first."""
    spans = [(span.start, span, one) for one in series for span in one.outages]
    newest = sorted(spans, key=lambda item: -item[0])[:MOST_OUTAGES]
    return [
        [
            datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            duration(span.end - span.start) or "0 s",
            one.place,
            one.url,
            span.why,
        ]
        for start, span, one in newest
    ]


def chart(rows: Sequence[Row], by: str) -> dict[str, Any]:
    """Return the chart: for each place and URL the shares of slow and failed requests by period."""
    values = []
    for row in rows:
        if not row["samples"]:
            continue
        title = f"{row['url']} from {row['place']}"
        shares = {
            "over 10 s": row["over_10s"],
            "over 1 s": row["over_1s"] - row["over_10s"],
            "no good answer": 1 - row["availability"],
        }
        # an hour alone is no time of day to a browser
        moment = f"{row['period']}:00Z" if by == "hour" else row["period"]
        values += [
            {"series": title, "period": moment, "what": what, "percent": round(share * 100, 4)}
            for what, share in shares.items()
        ]
    domain = ["over 1 s", "over 10 s", "no good answer"]
    temporal = {"month": "utcyearmonth", "day": "utcyearmonthdate", "hour": "utcyearmonthdatehours"}[by]
    return {
        "data": {"values": values},
        "facet": {"row": {"field": "series", "type": "nominal", "title": None, "header": FACET_HEADER}},
        "spec": {
            "width": CHART_WIDTH,
            "height": 160,
            "mark": {"type": "bar"},
            "encoding": {
                "x": {
                    "field": "period",
                    "type": "temporal",
                    "timeUnit": temporal,
                    "scale": {"type": "utc"},
                    "title": None,
                },
                "y": {"field": "percent", "type": "quantitative", "title": "% of requests", "stack": "zero"},
                "color": {
                    "field": "what",
                    "type": "nominal",
                    "title": None,
                    "scale": {"domain": domain, "range": list(COLOURS)},
                    "legend": {"orient": "top", "labelLimit": 0, "columnPadding": 30},
                },
                "tooltip": [
                    {"field": "period", "type": "nominal"},
                    {"field": "what", "type": "nominal"},
                    {"field": "percent", "type": "quantitative"},
                ],
            },
        },
    }


def page_cells(row: Row) -> list[object]:
    """Return the cells of one row, in the order of HEADERS."""
    return [
        row["period"], percent(row["availability"]), percent(row["over_1s"]),
        percent(row["over_10s"]), milliseconds(row["p50_ms"]), milliseconds(row["p95_ms"]),
        milliseconds(row["p99_ms"]), row["samples"], duration(row["gaps_s"]), row["outages"],
    ]  # fmt: skip


def write_report(out: Path, rows: Sequence[Row], series: Sequence[Series], by: str) -> None:
    """Write the chart to `out`: a whole page for .html, else the picture alone (.svg, .png).

    Raises InputError for another suffix and when `out` can't be written.
    """
    try:
        if out.suffix.lower() in (".html", ".htm"):
            out.write_text(report_page(rows, series, by), encoding="utf-8")
        else:
            write_chart(chart(rows, by), out, title="Uptime")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from error


def report_page(rows: Sequence[Row], series: Sequence[Series], by: str) -> str:
    """Return the page: the chart, a table for each place and URL, the latest outages."""
    parts: list[Fragment] = [
        image(
            chart_svg(chart(rows, by)).encode(),
            kind="svg+xml",
            alt="Share of slow and failed requests by period",
        )
    ]
    for (place, url), own in by_series(rows):
        figures = range(1, len(HEADERS))
        cells = table(HEADERS, map(page_cells, own), figures=figures)
        parts += [heading(f"{url} from {place}, by {by} (UTC)"), cells]
    outages = latest_outages(series)
    if outages:
        parts += [heading("Latest outages"), table(["Since (UTC)", "For", "Place", "URL", "Why"], outages)]
    parts.append(
        text("'Not probed' is time in which the probe did not run; it counts neither way.", note=True)
    )
    return page("Uptime", {"Slow and failed requests": parts})
