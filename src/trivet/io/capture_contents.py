"""Reads a capture to the end with both engines: our own pass over the packets, then tshark for what needs it.

Rule: plain HTTP/1 is always read by our own parser; tshark is asked only for TLS with keys and for HTTP/2.
Rule: what an engine could not do is told, never left out in silence.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trivet.insight.capture import Capture
from trivet.insight.tls_records import RecordClock
from trivet.insight.tshark_rows import RowReader
from trivet.io import tshark
from trivet.io.capture_reader import packet_blocks
from trivet.wire.capture_file import CaptureScanner


@dataclass(frozen=True, slots=True)
class Contents:
    """What a capture holds: `notes` say what an engine could not do, `decrypted` whether TLS was opened."""

    capture: Capture
    scanner: CaptureScanner
    notes: list[str]
    decrypted: bool


def read_contents(path: Path, *, keep_heads: bool, keylog: Path | None) -> Contents:
    """Read the capture at `path` to its end; `keep_heads` as in Capture, `keylog` opens its TLS."""
    with ThreadPoolExecutor(1) as pool:  # tshark takes a moment to tell its version, and we have two cores
        engine = pool.submit(asyncio.run, tshark.find_tshark())
        capture, scanner = _read_packets(path, keep_heads=keep_heads, clock_records=keylog is not None)
        notes, decrypted = asyncio.run(_read_secrets(path, capture, scanner, keylog, engine.result()))
    return Contents(capture, scanner, notes, decrypted)


def _read_packets(path: Path, *, keep_heads: bool, clock_records: bool) -> tuple[Capture, CaptureScanner]:
    """Read all packets of the capture at `path`: connections and plain HTTP/1; options as in Capture."""
    scanner = CaptureScanner()
    capture = Capture(keep_heads=keep_heads, clock_records=clock_records)
    for block in packet_blocks(path, scanner):
        capture.clock_records = capture.clock_records or scanner.has_secrets
        capture.add(block)
    capture.close()
    return capture, scanner


async def _read_secrets(
    path: Path, capture: Capture, scanner: CaptureScanner, keylog: Path | None, engine: tshark.Tshark
) -> tuple[list[str], bool]:
    """Add what tshark reads in `capture`; return (notes, whether TLS contents were read)."""
    notes: list[str] = []
    decrypted = False
    tls, h2 = _streams(capture, "tls"), _streams(capture, "http2")
    has_keys = bool(tls) and (keylog is not None or scanner.has_secrets)
    if engine.version is None:
        notes.append(f"{engine.why_not}: connections and plain HTTP/1 are read without it, {_lack(tls, h2)}.")
    elif (has_keys or h2) and not await asyncio.to_thread(path.is_file):
        notes.append(
            "tshark reads files only: save the capture and name it to see the contents of TLS and HTTP/2."
        )
    elif has_keys or h2:
        words = tshark.arguments(path, keylog, _ports(capture, tls), _ports(capture, h2))
        reader = RowReader(capture.found, lambda stream: _clocks(capture, stream))
        await tshark.read_rows(words, reader.take, scanner.size_bytes)
        reader.finish()
        decrypted = has_keys
        unread = len(set(tls) - set(reader.streams))
        if has_keys and unread:
            notes.append(
                f"{unread:,} of {len(tls):,} TLS connections stayed closed: there are no keys for them, or "
                "they hold no HTTP."
            )
    return notes, decrypted


def _lack(tls: list[int], h2: list[int]) -> str:
    if not tls and not h2:
        return "and nothing in this capture needs it"
    return f"but not the contents of {len(tls):,} TLS and {len(h2):,} HTTP/2 connections"


def _streams(capture: Capture, kind: str) -> list[int]:
    return [stream for stream, spoken in capture.spoken.items() if spoken.kind == kind]


def _ports(capture: Capture, streams: Iterable[int]) -> set[int]:
    """Return the server ports of `streams`: the side that did not ask."""
    ports = set()
    for stream in streams:
        side = capture.spoken[stream].client_side
        if side >= 0:
            end = capture.table.column("endpoint_b" if side == 0 else "endpoint_a")[stream]
            ports.add(capture.table.endpoint(int(end))[1])
    return ports


def _clocks(capture: Capture, stream: int) -> tuple[RecordClock | None, RecordClock | None]:
    """Return the record clocks of (client, server) of a stream."""
    spoken = capture.spoken.get(stream)
    if spoken is None:
        return None, None
    clocks = spoken.clocks
    return (clocks[1], clocks[0]) if spoken.client_side == 1 else clocks
