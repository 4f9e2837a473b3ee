"""Exchanges in the shapes of other programs: HAR for browsers' tools, events for `trivet runs`.

Rule: what a capture can't know is left at the value its format has for that, never made up.
Source: HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec/).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from trivet.insight.capture_summary import CaptureView
from trivet.insight.exchange import Exchange

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: How `trivet runs` is told the phases of an exchange.
RUN_PHASES = {
    "connect": "connect_start..connect_end",
    "send": "send_start..send_end",
    "wait": "send_end..first_byte",
    "transfer": "first_byte..transfer_end",
}


def _date(time_ns: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).isoformat(timespec="microseconds")


def _headers(head: bytes) -> list[dict[str, str]]:
    lines = head.decode("latin-1").splitlines()[1:]
    pairs = [line.partition(":") for line in lines if line]
    return [{"name": name.strip(), "value": value.strip()} for name, colon, value in pairs if colon]


def _milliseconds(value_s: float | None) -> float:
    return -1 if value_s is None else max(value_s, 0.0) * 1000


def _entry(view: CaptureView, one: Exchange) -> dict[str, Any]:
    connect_s = view.connect_s(one)
    send_s = (one.request_end_ns - one.request_ns) / 1e9 if one.request_ns else None
    row = view.row(one.stream)
    timings = {
        "blocked": -1,
        "dns": -1,
        "connect": _milliseconds(connect_s),
        "ssl": -1,
        "send": max(_milliseconds(send_s), 0),
        "wait": max(_milliseconds(one.wait_s), 0),
        "receive": max(_milliseconds(one.transfer_s), 0),
    }
    version = f"HTTP/{one.version or '1.1'}"
    return {
        "startedDateTime": _date(one.began_ns - int((connect_s or 0) * 1e9)),
        "time": sum(value for value in timings.values() if value > 0),
        "request": {
            "method": one.method or "",
            "url": one.url,
            "httpVersion": version,
            "cookies": [],
            "headers": _headers(one.request_head),
            "queryString": [
                {"name": name, "value": value}
                for name, value in parse_qsl(urlsplit(one.url).query, keep_blank_values=True)
            ],
            "headersSize": len(one.request_head) or -1,
            "bodySize": one.request_bytes,
        },
        "response": {
            "status": one.status or 0,
            "statusText": "",
            "httpVersion": version,
            "cookies": [],
            "headers": _headers(one.response_head),
            "content": {"size": one.response_bytes, "mimeType": one.content_type},
            "redirectURL": "",
            "headersSize": len(one.response_head) or -1,
            "bodySize": one.response_bytes,
        },
        "cache": {},
        "timings": timings,
        "serverIPAddress": row.server.rpartition(":")[0].strip("[]"),
        "connection": str(one.stream),
        "comment": "" if one.whole else "incomplete in the capture",
    }


def har(view: CaptureView, version: str) -> dict[str, Any]:
    """Return the exchanges as a HAR 1.2 object written by trivet `version`."""
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": "trivet", "version": version},
            "entries": [_entry(view, one) for one in view.exchanges if one.method is not None],
        }
    }


def run_events(view: CaptureView, name: str) -> Iterator[dict[str, Any]]:
    """Yield the exchanges as events of runs named `name/STREAM.NUMBER`, for `trivet runs`; see RUN_PHASES."""
    for one in view.exchanges:
        if one.method is None:
            continue
        connect_s = view.connect_s(one)
        moments = {
            "send_start": one.request_ns,
            "send_end": one.request_end_ns,
            "first_byte": one.first_byte_ns,
            "transfer_end": one.end_ns if one.whole else 0,
        }
        if connect_s is not None:
            syn_ns = int(view.capture.table.column("syn_ns")[one.stream])
            moments = {"connect_start": syn_ns, "connect_end": syn_ns + int(connect_s * 1e9), **moments}
        for event, time_ns in moments.items():
            if time_ns:
                yield {
                    "testrun_id": f"{name}/{one.stream}.{one.number}",
                    "event_name": event,
                    "event_emit": time_ns / 1e9,
                    "event_receive": time_ns / 1e9,
                    "host": one.host,
                    "method": one.method,
                    "path": one.target.partition("?")[0],
                    "status": "" if one.status is None else str(one.status),
                }
