"""Traces in OTLP JSON: a trace is a run, the spans below its root are phases.

Rule: one document, or one on each line as the OpenTelemetry SDK and Collector write files.
Rule: attributes of the resource are dimensions; a span that failed gives the dimension `error`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.monitor.runs.json_values import decode_json
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.span_events import SpanEvents, in_range, json_document, list_in

_STATUS_ERROR = (2, "STATUS_CODE_ERROR")


def read_otlp(path: Path, reading: Reading) -> None:
    """Read one file of OTLP JSON traces."""
    events = SpanEvents(reading)
    spans = 0
    for document in _documents(path, reading):
        for resource_spans in _list(document, "resourceSpans", "resource_spans"):
            dimensions = _attributes(resource_spans.get("resource"))
            for scope in _list(resource_spans, "scopeSpans", "scope_spans"):
                for span in _list(scope, "spans", "spans"):
                    spans += 1
                    _add(span, dimensions, events, reading, path)
    if not spans:
        raise InputError(f"{path.name} holds no spans: traces in OTLP JSON are understood")
    events.flush()
    reading.note("no-receive", f"{path.name}: OTLP does not tell when a span was received")


def _documents(path: Path, reading: Reading) -> Iterator[Any]:
    """The one document of the file, or that of each of its lines."""
    with path.open("rb") as file:
        first = file.readline()
        try:
            decode_json(first)
        except ValueError:
            yield json_document(path)
            return
        file.seek(0)
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield decode_json(line)
            except ValueError:
                reading.bad(f"{path.name} line {number}", "is no JSON")


def _add(
    span: dict[str, Any], dimensions: dict[str, str], events: SpanEvents, reading: Reading, path: Path
) -> None:
    trace, name = span.get("traceId") or span.get("trace_id"), span.get("name")
    begin = _time(span, "startTimeUnixNano", "start_time_unix_nano")
    end = _time(span, "endTimeUnixNano", "end_time_unix_nano")
    if not isinstance(trace, str) or not trace or not isinstance(name, str) or not name or begin is None:
        reading.bad(path.name, f"the span '{str(name)[:60]}' lacks a trace, a name or a beginning")
        return
    status = span.get("status")
    if isinstance(status, dict) and status.get("code") in _STATUS_ERROR:
        dimensions = {**dimensions, "error": str(status.get("message") or "error")}
    if span.get("parentSpanId") or span.get("parent_span_id"):
        events.span(trace, name, begin, end, dimensions)
        return
    whole = {**dimensions, "root": name}
    events.event(trace, "trace_begin", begin, whole)
    if end is not None:
        events.event(trace, "trace_finish", end, whole)


def _time(span: dict[str, Any], *keys: str) -> int | None:
    """A time in ns, written as a number or as its digits; 0 means that there is none."""
    value = next((span[key] for key in keys if key in span), None)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if isinstance(value, int) and value > 0 and in_range(value) else None


def _attributes(resource: object) -> dict[str, str]:
    found = {}
    for attribute in list_in(resource, "attributes"):
        key, value = attribute.get("key"), attribute.get("value")
        if isinstance(key, str) and isinstance(value, dict) and value:
            held = next(iter(value.values()))
            if isinstance(held, str | int | float | bool):
                found[key] = str(held)
    return found


def _list(holder: object, *keys: str) -> list[dict[str, Any]]:
    return next((found for key in keys if (found := list_in(holder, key))), [])
