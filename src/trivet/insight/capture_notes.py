"""What a reader of a capture report must be told besides the figures."""

from collections import Counter

from trivet.insight.capture_summary import CaptureView
from trivet.wire.packet_headers import KNOWN_LINKS

_OPENED = {"websocket": "a WebSocket", "tunnel": "a tunnel (CONNECT)"}


def notes(view: CaptureView, *, decrypted: bool) -> list[str]:
    """Return sentences on what could not be read, and what to do about it.

    `decrypted` = the contents of TLS were read with keys.
    """
    capture, told = view.capture, []
    counts = capture.counts
    if view.server is not None and not view.mask.any():
        there = ", ".join(view.servers()[:5]) or "none"
        told.append(f"No connection was opened to {view.server}; servers in this capture: {there}.")
    tls = [s for s, spoken in capture.spoken.items() if spoken.kind == "tls" and view.mask[s]]
    if tls and not decrypted:
        data = int(capture.table.sides("bytes")[tls].sum())
        turns = int(capture.table.column("turns")[tls].sum())
        told.append(
            f"{len(tls):,} connection(s) are TLS: the requests inside can't be counted, only {data:,} bytes "
            f"in {turns:,} turns. Give the key log with --keylog FILE (programs write it where "
            "SSLKEYLOGFILE points), or count the requests in the server's log with `trivet logs`."
        )
    upgrades = Counter(one.upgrade for one in view.exchanges if one.upgrade)
    told += [
        f"{count:,} exchange(s) opened {_OPENED.get(protocol, protocol)}: the upgrade itself is shown; "
        "what was sent through it afterwards is counted as bytes, not read."
        for protocol, count in upgrades.items()
    ]
    if counts.cut:
        told.append(
            f"{counts.cut:,} of {capture.packets:,} packets were cut by the capture's snap length: contents "
            "beyond it are missing. Capture whole packets: dumpcap -s 0, tcpdump -s 0."
        )
    if counts.unknown_link:
        told.append(
            f"{counts.unknown_link:,} packets have a link type that trivet does not read "
            f"(it reads {', '.join(map(str, sorted(KNOWN_LINKS)))})."
        )
    if counts.fragments:
        told.append(
            f"{counts.fragments:,} later IP fragments were left out: their TCP bytes count as missing."
        )
    if counts.too_short:
        told.append(f"{counts.too_short:,} packets are too short for their own headers and were left out.")
    lost = view.totals()["missing_bytes"]
    if lost:
        told.append(f"{lost:,} bytes were not captured: messages they belong to are marked incomplete.")
    if capture.closed_early:
        told.append(
            f"Too many connections were open at once: {capture.closed_early:,} quiet ones were closed early, "
            "an exchange in them may be missing."
        )
    if capture.tallies["not_kept"]:
        told.append(
            f"{capture.tallies['not_kept']:,} further exchanges are counted but not listed; use --server or "
            "split the capture (editcap -c)."
        )
    return told
