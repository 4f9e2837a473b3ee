"""How figures of a capture are put into words, the same in the terminal and on the page."""

from typing import Any

from trivet.insight.capture_summary import ConnectionRow
from trivet.insight.exchange import Exchange

#: Between a figure and its unit: a space that no line is broken at.
_GAP = "\u00a0"


def seconds(value: float | None) -> str:
    """Return a time as people read it: 1.23 s, 4.5 ms, 120 µs."""
    if value is None:
        return "-"
    if abs(value) >= 1:
        return f"{value:.2f}{_GAP}s"
    return f"{value * 1e3:.1f}{_GAP}ms" if abs(value) >= 1e-3 else f"{value * 1e6:.0f}{_GAP}µs"


def size(value: int) -> str:
    """Return a number of bytes as people read it."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f}{_GAP}{unit}" if unit == "B" else f"{amount:.1f}{_GAP}{unit}"
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


def speaks(row: ConnectionRow) -> str:
    """Say what a connection spoke: TLS version, protocol and server name, or the plain protocol."""
    return " ".join(filter(None, (row.tls_version or row.spoken, row.alpn, row.server_name)))


def headline(total: dict[str, Any]) -> str:
    """Return the totals of a capture as one sentence."""
    return (
        f"{total['packets']:,} packets in {seconds(total['duration_s'])}; "
        f"{total['streams']:,} connections ({total['opened']:,} opened here, {total['silent']:,} silent, "
        f"{total['reused']:,} reused, {total['tls_streams']:,} TLS); "
        f"{total['requests']:,} requests, {total['responses']:,} responses, {total['pairs']:,} pairs; "
        f"{total['retransmissions']:,} retransmissions, {total['resets']:,} resets"
    )
