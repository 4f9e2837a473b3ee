"""A capture report for the terminal: figures, a waterfall of exchanges, what was slow or went wrong."""
"""A capture report for the terminal: figures, a waterfall of exchanges, what was slow or went wrong.

Rule: lines fit the terminal; only the widest text column is shortened, never a figure.
"""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trivet.insight.capture_summary import CaptureView, ConnectionRow
from trivet.insight.exchange import Exchange
from trivet.insight.exchange_ranking import Group, failed, grouped, path_url, slowest

#: Rows of each table; the rest is counted in a line below it.
ROWS = 20
_BAR_CELLS = 30


def seconds(value: float | None) -> str:
    """Return a time as people read it: 1.23 s, 4.5 ms, 120 µs."""
    if value is None:
        return "-"
    if abs(value) >= 1:
        return f"{value:.2f} s"
    return f"{value * 1e3:.1f} ms" if abs(value) >= 1e-3 else f"{value * 1e6:.0f} µs"


def size(value: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    raise AssertionError


def remark(one: Exchange) -> str:
    """Say in a word what is wrong with an exchange; empty when nothing is."""
    words = [
        ("no request seen", one.method is None),
        ("no answer", one.status is None),
        ("incomplete", one.status is not None and not one.whole),
        ("malformed request", one.malformed),
        ("pair uncertain", one.uncertain),
        (one.upgrade, bool(one.upgrade)),
    ]
    return ", ".join(word for word, is_so in words if is_so)


def _bar(one: Exchange, first_ns: int, span_ns: int) -> str:
    """Draw when the exchange was: `-` request and wait, `=` transfer."""
from rich.text import Text
from trivet.insight.capture_summary import CaptureView
from trivet.monitor.wire_words import connection_words, headline, remark, seconds, size, speaks
_BAR_CELLS = 24
_LEAST_TEXT = 24
Line = tuple[Sequence[str], str]
def _table(
    console: Console, title: str, headers: Sequence[str], lines: Iterable[Line], flexible: int
) -> None:
    """Print lines (cells, style) under `headers`; column `flexible` and those after it go left."""
    shown = list(lines)
    widths = [
        max(len(header), *(len(cells[column]) for cells, _ in shown)) for column, header in enumerate(headers)
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
    """Draw when the exchange was: a thin line until the first byte, a thick one from there."""
    end_ns = max(one.end_ns, one.first_byte_ns, one.request_end_ns)

    def cell(time_ns: int) -> int:
        return min(int((time_ns - first_ns) * _BAR_CELLS / max(span_ns, 1)), _BAR_CELLS - 1)

    start, stop = cell(one.began_ns), cell(end_ns)
    turn = cell(one.first_byte_ns) if one.first_byte_ns else stop + 1
    return " " * start + "".join("━" if at >= turn else "─" for at in range(start, stop + 1))


def _waterfall(view: CaptureView, exchanges: Sequence[Exchange], title: str) -> Table:
    shown = exchanges[:ROWS]
    first_ns = min((one.began_ns for one in shown), default=0)
    last_ns = max((max(one.end_ns, one.began_ns) for one in shown), default=0)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("stream", "start", "connect", "wait", "transfer", "status"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("exchange", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("when", no_wrap=True, min_width=_BAR_CELLS)
    for one in shown:
        status = "-" if one.status is None else str(one.status)
        style = "red" if one.status is None or one.status >= 400 else ""
        told = remark(one)
        table.add_row(
def _waterfall(console: Console, view: CaptureView, exchanges: Sequence[Exchange], title: str) -> None:
    first_ns = min(one.began_ns for one in shown)
    last_ns = max(max(one.end_ns, one.began_ns) for one in shown)
    lines: list[Line] = []
        cells = (
            str(one.stream),
            seconds((one.began_ns - view.capture.first_ns) / 1e9),
            seconds(view.connect_s(one)),
            seconds(one.wait_s),
            seconds(one.transfer_s),
            status,
            escape(f"{one.method or '?'} {one.url}") + (f" [yellow]({escape(told)})[/]" if told else ""),
            _bar(one, first_ns, last_ns - first_ns),
            style=style,
        )
    return table


def _groups(groups: Sequence[Group], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("count", "errors", "unanswered", "bytes", "wait p50", "wait p95", "slowest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for group in groups[: ROWS // 2]:
        table.add_row(
            f"{group.exchanges:,}",
            f"{group.errors:,}",
            f"{group.unanswered:,}",
            size(group.bytes),
            seconds(group.wait_p50_s),
            seconds(group.wait_p95_s),
            seconds(group.total_max_s),
            escape(group.name),
        )
    return table


def connection_words(row: ConnectionRow) -> str:
    """Say what is odd about a connection."""
    words = [
        ("not opened here", not row.opened),
        ("silent", row.silent),
        (f"{row.retransmissions} sent again", row.retransmissions),
        (f"{row.reordered} out of order", row.reordered),
        (f"{size(row.missing_bytes)} not captured", row.missing_bytes),
        ("reset", row.resets),
        (f"{row.turns} turns", row.spoken == "tls"),
    ]
    return ", ".join(word for word, is_so in words if is_so)


def _connections(view: CaptureView, streams: Iterable[int], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("stream", "start", "handshake", "lasted", "requests", "up", "down"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("client → server", no_wrap=True)
    table.add_column("speaks", no_wrap=True)
    table.add_column("", ratio=1)
    for stream in streams:
        row = view.row(stream)
        speaks = " ".join(filter(None, (row.tls_version or row.spoken, row.alpn, row.server_name)))
        table.add_row(
            str(stream),
            seconds(row.start_s),
            seconds(row.handshake_s),
            seconds(row.duration_s),
            str(row.requests) if row.spoken != "tls" or row.requests else "?",
            size(row.bytes_up),
            size(row.bytes_down),
            escape(f"{row.client} → {row.server}"),
            escape(speaks),
            escape(connection_words(row)),
        )
    return table


def show(view: CaptureView, told: Sequence[str], name: str) -> None:
    """Print the report of `view`; `told` are the notes, `name` that of the capture."""
    console = Console(highlight=False)
    total = view.totals()
    console.print(
        f"[bold]{escape(name)}[/]: {total['packets']:,} packets in {seconds(total['duration_s'])}; "
        f"{total['streams']:,} connections ({total['opened']:,} opened here, {total['silent']:,} silent, "
        f"{total['reused']:,} reused, {total['tls_streams']:,} TLS); "
        f"{total['requests']:,} requests, {total['responses']:,} responses, {total['pairs']:,} pairs; "
        f"{total['retransmissions']:,} retransmissions, {total['resets']:,} resets"
    )
    for note in told:
        console.print(f"[yellow]![/] {escape(note)}")
    streams = view.streams()
    _section(console, _connections(view, streams[:ROWS], "\nConnections"), len(streams), "connections")
    exchanges = view.exchanges
    if not exchanges:
        return
    _section(console, _waterfall(view, exchanges, "\nExchanges"), len(exchanges), "exchanges")
    wrong = failed(exchanges)
    if wrong:
        _section(console, _waterfall(view, wrong, "\nErrors and what is incomplete"), len(wrong), "of these")
    if len(exchanges) > ROWS:
        console.print(_waterfall(view, slowest(exchanges, ROWS), "\nSlowest"))
    console.print(_groups(grouped(exchanges, lambda one: one.host or "?"), "\nPer host"))
    console.print(_groups(grouped(exchanges, path_url), "\nPer URL (without query)"))


def _section(console: Console, table: Table, count: int, what: str) -> None:
    console.print(table)
    if count > ROWS:
        console.print(f"[dim]... and {count - ROWS:,} more {what} (--json and --html have them)[/]")
            "-" if one.status is None else str(one.status),
            (f"({told}) " if told else "") + f"{one.method or '?'} {one.url}",
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
        for group in groups[: ROWS // 2]
    headers = ("count", "errors", "unanswered", "bytes", "wait p50", "wait p95", "slowest", "")
    _table(console, title, headers, lines, flexible=7)
def _connections(console: Console, view: CaptureView, streams: Sequence[int]) -> None:
                str(row.stream),
                seconds(row.start_s),
                seconds(row.handshake_s),
                seconds(row.duration_s),
                str(row.requests) if row.spoken != "tls" or row.requests else "?",
                size(row.bytes_up),
                size(row.bytes_down),
                f"{row.client} → {row.server}",
                ", ".join(filter(None, (speaks(row), connection_words(row)))),
        for row in map(view.row, streams[:ROWS])
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
    console.print(f"[bold]{escape(name)}[/]: {headline(view.totals())}")
    streams, exchanges = view.streams(), view.exchanges
    if streams:
        _connections(console, view, streams)
        _more(console, len(streams), "connections")
    _waterfall(console, view, exchanges, "Exchanges")
    _more(console, len(exchanges), "exchanges")
        _waterfall(console, view, wrong, "Errors and what is incomplete")
        _more(console, len(wrong), "of these")
        _waterfall(console, view, slowest(exchanges, ROWS), "Slowest")
    _groups(console, grouped(exchanges, lambda one: one.host or "?"), "Per host")
    _groups(console, grouped(exchanges, path_url), "Per URL (without query)")
    if heads:
        _heads(console, exchanges)
