"""`trivet wire`: every HTTP exchange of a capture, with its timings."""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from trivet import __version__
from trivet.cli.wrong_use import no_option
from trivet.errors import InputError
from trivet.insight.capture_notes import notes
from trivet.insight.capture_summary import CaptureView, canonical_server, connection_row, exchange_row
from trivet.io.capture_contents import read_contents
from trivet.io.tshark import check_keylog

_LONGEST_S = 86_400

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


def _write(path: Path, pieces: Iterable[str]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(pieces)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from None


def _export(view: CaptureView, told: list[str], name: str, outs: dict[str, Path | None]) -> None:
    if out := outs["html"]:
        from trivet.monitor.wire_page import report_page

        _write(out, [report_page(view, told, name)])
    if outs["har"] or outs["events"]:
        from trivet.insight.exchange_export import RUN_PHASES, har, run_events

        if out := outs["har"]:
            _write(out, [json.dumps(har(view, __version__))])
        if out := outs["events"]:
            _write(out, (json.dumps(event) + "\n" for event in run_events(view, name)))
            phases = " ".join(f"--phase {phase}={events}" for phase, events in RUN_PHASES.items())
            told.append(f"To see the exchanges as runs: trivet runs stats {out} {phases}")


def wire(
    capture: Annotated[
        Path,
        _help("A pcap or pcapng file, plain or gzipped, or - for stdin; with --live: where to write it."),
        Parameter(allow_leading_hyphen=True, validator=no_option),
    ],
    *,
    server: Annotated[str | None, _help("Only connections opened to this address, or address:port.")] = None,
    stream: Annotated[
        int | None, _help("Only this connection (its tcp.stream index), with its heads.")
    ] = None,
    keylog: Annotated[Path | None, _help("Key log for TLS, as SSLKEYLOGFILE writes it.")] = None,
    html: Annotated[Path | None, _help("Write the report as one HTML page.")] = None,
    har: Annotated[Path | None, _help("Write the exchanges as HAR.")] = None,
    events: Annotated[
        Path | None, _help("Write the exchanges as events (JSON lines) for `trivet runs`.")
    ] = None,
    live: Annotated[
        str | None, _help("First capture on this interface (any, eth0, lo) with dumpcap.")
    ] = None,
    seconds: Annotated[float, _help("With --live: how long.")] = 10.0,
    capture_filter: Annotated[str, _help("With --live: what to capture, for example `tcp port 80`.")] = "tcp",
    json_: Annotated[bool, _help("Tell everything as one JSON object.", "--json")] = False,
) -> int:
    """Show the connections and HTTP exchanges of a capture: who waited for what, and for how long."""
    if server is not None:
        canonical_server(server)
    if keylog is not None:
        check_keylog(keylog)
    if live is not None:
        from trivet.io.live_capture import capture_live

        if capture.exists():  # dumpcap empties it before it knows whether it may capture
            raise InputError(f"{capture} is there already: --live writes a new file, name another")
        if not 0 < seconds <= _LONGEST_S:
            raise InputError(f"--seconds wants more than 0, at most {_LONGEST_S:,}")
        asyncio.run(capture_live(live, capture, seconds, capture_filter))
    keep_heads = har is not None or stream is not None
    read = read_contents(capture, keep_heads=keep_heads, keylog=keylog)
    read.capture.finish()
    view = CaptureView(read.capture, server, stream)
    told = [*read.scanner.notes, *read.notes, *notes(view, decrypted=read.decrypted)]
    _export(view, told, capture.name, {"html": html, "har": har, "events": events})
    if json_:
        print(json.dumps(_json(view, told)))
    else:
        from trivet.monitor.wire_terminal import show

        show(view, told, capture.name, heads=stream is not None)
    return 0
