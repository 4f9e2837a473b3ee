"""A capture report for the terminal: figures, a waterfall of exchanges, what was slow or went wrong.

Rule: lines fit the terminal; only the widest text column is shortened, never a figure. A narrow terminal gets
fewer columns; a file or a pipe gets wide lines.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from trivet.insight.capture_summary import CaptureView
from trivet.insight.exchange import Exchange
from trivet.insight.exchange_ranking import Group, failed, grouped, path_url, slowest
from trivet.monitor.wire_words import connection_words, headline, remark, seconds, size, speaks

#: Rows of each table; the rest is counted in a line below it.
ROWS = 20
_BAR_CELLS = 24
_LEAST_TEXT = 24
_NARROW, _PIPE_WIDTH = 110, 160
#: What a narrow terminal does without.
_WIDE_ONLY = frozenset({"connect", "when", "start", "up", "handshake"})

Line = tuple[Sequence[str], str]


def _table(
    console: Console, title: str, headers: Sequence[str], lines: Iterable[Line], flexible: int
) -> None:
    """Print lines (cells, style) under `headers`; column `flexible` and those after it go left."""
    shown = list(lines)
    if console.width < _NARROW:
        kept = [at for at, header in enumerate(headers) if header not in _WIDE_ONLY]
        flexible = kept.index(flexible)
        shown = [([cells[at] for at in kept], style) for cells, style in shown]
        headers = [headers[at] for at in kept]
    widths = [
        max(len(header), *(len(cells[column]) for cells, _ in shown)) for column, header in enumerate(headers)
    ]
    rest = sum(widths) - widths[flexible] + 2 * (len(widths) - 1)
    widths[flexible] = min(widths[flexible], max(console.width - rest, _LEAST_TEXT))

    def line(cells: Sequence[str], style: str) -> Text:
        parts = []
        for column, cell in enumerate(cells):
            width = widths[column]
            cut = cell if len(cell) <= width else cell[: width - 1] + "…"
            parts.append(cut.rjust(width) if column < flexible else cut.ljust(width))
        return Text("  ".join(parts).rstrip(), style=style)

    console.print(f"\n[bold]{title}[/]")
    for cells, style in [(headers, "dim"), *shown]:
        console.print(line(cells, style), no_wrap=True, overflow="ellipsis")


def _more(console: Console, count: int, what: str) -> None:
    if count > ROWS:
        console.print(f"[dim]... and {count - ROWS:,} more {what} (--json and --html have them)[/]")


def _bar(one: Exchange, first_ns: int, span_ns: int) -> str:
    """Draw when the exchange was: a thin line until the first byte, a thick one from there."""
    end_ns = max(one.end_ns, one.first_byte_ns, one.request_end_ns)

    def cell(time_ns: int) -> int:
        return min(int((time_ns - first_ns) * _BAR_CELLS / max(span_ns, 1)), _BAR_CELLS - 1)

    start, stop = cell(one.began_ns), cell(end_ns)
    turn = cell(one.first_byte_ns) if one.first_byte_ns else stop + 1
    return " " * start + "".join("━" if at >= turn else "─" for at in range(start, stop + 1))


def _waterfall(console: Console, view: CaptureView, exchanges: Sequence[Exchange], title: str) -> None:
    shown = exchanges[:ROWS]
    first_ns = min(one.began_ns for one in shown)
    last_ns = max(max(one.end_ns, one.began_ns) for one in shown)
    lines: list[Line] = []
    for one in shown:
        told = remark(one)
        cells = (
            str(one.stream),
            seconds((one.began_ns - view.capture.first_ns) / 1e9),
            seconds(view.connect_s(one)),
            seconds(one.wait_s),
            seconds(one.transfer_s),
            "-" if one.status is None else str(one.status),
            (f"({told}) " if told else "") + f"{one.method or '?'} {one.url}",
            _bar(one, first_ns, last_ns - first_ns),
        )
        lines.append((cells, "red" if one.status is None or one.status >= 400 else ""))
    headers = ("stream", "start", "connect", "wait", "transfer", "status", "exchange", "when")
    _table(console, title, headers, lines, flexible=6)


def _groups(console: Console, groups: Sequence[Group], title: str) -> None:
    lines = [
        (
            (
                f"{group.exchanges:,}",
                f"{group.errors:,}",
                f"{group.unanswered:,}",
                size(group.bytes),
                seconds(group.wait_p50_s),
                seconds(group.wait_p95_s),
                seconds(group.total_max_s),
                group.name,
            ),
            "",
        )
        for group in groups[: ROWS // 2]
    ]
    headers = ("count", "errors", "unanswered", "bytes", "wait p50", "wait p95", "slowest", "")
    _table(console, title, headers, lines, flexible=7)


def _connections(console: Console, view: CaptureView, streams: Sequence[int]) -> None:
    lines = [
        (
            (
                str(row.stream),
                seconds(row.start_s),
                seconds(row.handshake_s),
                seconds(row.duration_s),
                str(row.requests) if row.spoken != "tls" or row.requests else "?",
                size(row.bytes_up),
                size(row.bytes_down),
                f"{row.client} → {row.server}",
                ", ".join(filter(None, (speaks(row), connection_words(row)))),
            ),
            "",
        )
        for row in map(view.row, streams[:ROWS])
    ]
    headers = (
        "stream",
        "start",
        "handshake",
        "lasted",
        "requests",
        "up",
        "down",
        "client → server",
        "speaks",
    )
    _table(console, "Connections", headers, lines, flexible=7)


def _heads(console: Console, exchanges: Sequence[Exchange]) -> None:
    """Print the heads of one followed connection's messages."""
    for one in exchanges[:ROWS]:
        for head, style in ((one.request_head, "cyan"), (one.response_head, "green")):
            text = head.decode("utf-8", "backslashreplace").replace("\r\n", "\n").strip()
            if text:
                console.print(Text("\n" + text, style=style))


def show(view: CaptureView, told: Sequence[str], name: str, *, heads: bool = False) -> None:
    """Print the report of `view`; `told` are notes, `name` the capture's; `heads` shows HTTP heads."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PIPE_WIDTH)
    console.print(f"[bold]{escape(name)}[/]: {headline(view.totals())}")
    for note in told:
        console.print(f"[yellow]![/] {escape(note)}")
    streams, exchanges = view.streams(), view.exchanges
    if streams:
        _connections(console, view, streams)
        _more(console, len(streams), "connections")
    if not exchanges:
        return
    _waterfall(console, view, exchanges, "Exchanges")
    _more(console, len(exchanges), "exchanges")
    wrong = failed(exchanges)
    if wrong:
        _waterfall(console, view, wrong, "Errors and what is incomplete")
        _more(console, len(wrong), "of these")
    if len(exchanges) > ROWS:
        _waterfall(console, view, slowest(exchanges, ROWS), "Slowest")
    _groups(console, grouped(exchanges, lambda one: one.host or "?"), "Per host")
    _groups(console, grouped(exchanges, path_url), "Per URL (without query)")
    if heads:
        _heads(console, exchanges)
