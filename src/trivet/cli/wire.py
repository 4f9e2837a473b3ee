"""`trivet wire`: every HTTP exchange of a capture, with its timings."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from trivet.insight.capture import Capture
from trivet.insight.capture_notes import notes
from trivet.insight.capture_summary import CaptureView, connection_row, exchange_row
from trivet.io.capture_reader import packet_blocks
from trivet.wire.capture_file import CaptureScanner

#: Connections listed in JSON; further ones are counted.
LISTED_CONNECTIONS = 10_000


def _help(text: str, name: str | None = None) -> Parameter:
    return Parameter(name=name, help=text, negative=())


def _json(view: CaptureView, told: list[str]) -> dict[str, Any]:
    streams = view.streams()
    return {
        **view.totals(),
        "notes": told,
        "exchanges": [exchange_row(view, one) for one in view.exchanges],
        "connections": [connection_row(view.row(stream)) for stream in streams[:LISTED_CONNECTIONS]],
        "connections_not_listed": max(len(streams) - LISTED_CONNECTIONS, 0),
    }


def wire(
    capture: Annotated[Path, _help("A pcap or pcapng file, plain or gzipped.")],
    *,
    server: Annotated[str | None, _help("Only connections opened to this address, or address:port.")] = None,
    stream: Annotated[
        int | None, _help("Only this connection (its tcp.stream index), followed closely.")
    ] = None,
    json_: Annotated[bool, _help("Tell everything as one JSON object.", "--json")] = False,
) -> int:
    """Show the connections and HTTP exchanges of a capture: who waited for what, and for how long."""
    scanner = CaptureScanner()
    found = Capture()
    for block in packet_blocks(capture, scanner):
        found.add(block)
    found.finish()
    view = CaptureView(found, server, stream)
    told = [*scanner.notes, *notes(view, decrypted=False)]
    if json_:
        print(json.dumps(_json(view, told)))
    else:
        from trivet.monitor.wire_terminal import show

        show(view, told, capture.name)
    return 0
