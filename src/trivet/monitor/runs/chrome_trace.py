"""Chrome's trace-event format, read and written: each thread is a run, its events are phases.

Rule: its clock counts from a moment that the file does not tell; that is said.
Rule: events that are no stretch of one thread (flows, counters, async ones) are counted and passed over, as
are stretches inside one of the same name.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trivet.errors import InputError
from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.durations import phase_spans
from trivet.monitor.runs.analysis import Analysis
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.span_events import SpanEvents, in_range, json_document

_US_NS = 1_000
_KNOWN = {"X", "B", "E", "M"}


def read_chrome_trace(path: Path, reading: Reading) -> None:
    """Read one trace: an object with `traceEvents`, or the bare list."""
    document = json_document(path)
    entries = document.get("traceEvents") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        raise InputError(f"{path.name} holds no list of trace events")
    entries = [entry for entry in entries if isinstance(entry, dict)]
    names = _thread_names(entries)
    events, passed = SpanEvents(reading), Counter[str]()
    last_end: dict[tuple[str, ...], float] = {}
    for entry in sorted(entries, key=_order):
        kind = str(entry.get("ph"))
        if kind not in _KNOWN:
            passed[kind] += 1
        elif kind == "X" and _inside(entry, last_end):
            passed["X inside one of the same name"] += 1
        elif kind != "M":
            _add(entry, kind, names, events, reading, path)
    events.flush()
    if passed:
        told = ", ".join(f"{count:,} of kind {kind}" for kind, count in passed.most_common(8))
        reading.note(
            "passed-over", f"{path.name}: events that are no stretch of a thread: {told}", passed.total()
        )
    words = f"{path.name}: a trace's clock counts from a moment that it does not tell"
    reading.note("unknown-begin", words)


def write_chrome_trace(analysis: Analysis, out: Path, *, runs: int) -> int:
    """Write the `runs` newest runs to `out` for Perfetto or chrome://tracing; returns how many those are.

    A run is a thread, a phase a stretch on it; dimensions are the arguments of the run's first stretch.
    """
    pages = BarPages(analysis.events, analysis.phases)
    codes = pages.order[:runs]
    thread_of = {int(code): number for number, code in enumerate(codes, start=1)}
    bars = pages.bars(codes)
    entries: list[dict[str, Any]] = []
    for number, bar in enumerate(bars, start=1):
        entries.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": bar.run}})
        order = {"sort_index": number}
        entries.append({"ph": "M", "pid": 1, "tid": number, "name": "thread_sort_index", "args": order})
    for phase in analysis.phases:
        spans = phase_spans(analysis.events, phase, analysis.phases)
        stretches = zip(spans.run.tolist(), spans.begin.tolist(), spans.end.tolist(), strict=True)
        for run, begin, end in stretches:
            if run in thread_of and end >= begin:
                tags = bars[thread_of[run] - 1].dimensions
                place = {"ph": "X", "pid": 1, "tid": thread_of[run], "cat": "phase", "name": phase.name}
                when = {"ts": begin / _US_NS, "dur": (end - begin) / _US_NS}
                entries.append(
                    {**place, **when, "args": {name: "/".join(values) for name, values in tags.items()}}
                )
    try:
        out.write_text(json.dumps({"displayTimeUnit": "ms", "traceEvents": entries}), encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from None
    return len(bars)


def _order(entry: dict[str, Any]) -> tuple[float, float]:
    """By time, and of those that begin together the longest first."""
    begin, lasting = entry.get("ts"), entry.get("dur")
    return (
        float(begin) if isinstance(begin, int | float) else 0.0,
        -float(lasting) if isinstance(lasting, int | float) else 0.0,
    )


def _inside(entry: dict[str, Any], last_end: dict[tuple[str, ...], float]) -> bool:
    """Whether a stretch lies in an earlier one of its name and thread: it would count twice."""
    begin, minus_lasting = _order(entry)
    key = tuple(str(entry.get(field)) for field in ("pid", "tid", "name"))
    if begin < last_end.get(key, float("-inf")):
        return True
    last_end[key] = begin - minus_lasting
    return False


def _thread_names(entries: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Names of processes, under (pid, ""), and of threads, under (pid, tid)."""
    names = {}
    for entry in entries:
        if entry.get("ph") == "M" and isinstance(entry.get("args"), dict) and "name" in entry["args"]:
            thread = str(entry.get("tid")) if entry.get("name") == "thread_name" else ""
            if thread or entry.get("name") == "process_name":
                names[str(entry.get("pid")), thread] = str(entry["args"]["name"])
    return names


def _add(
    entry: dict[str, Any],
    kind: str,
    names: dict[tuple[str, str], str],
    events: SpanEvents,
    reading: Reading,
    path: Path,
) -> None:
    begin, lasting, name = entry.get("ts"), entry.get("dur", 0), entry.get("name")
    if (
        not isinstance(begin, int | float)
        or not isinstance(lasting, int | float)
        or not (name or kind == "E")
    ):
        reading.bad(path.name, f"the event '{str(name)[:60]}' lacks a name or a time")
        return
    if not in_range(round((begin + max(lasting, 0)) * _US_NS)):
        reading.bad(path.name, f"the time of '{str(name)[:60]}' is out of range")
        return
    process, thread = str(entry.get("pid")), str(entry.get("tid"))
    process_name, thread_name = names.get((process, ""), "process"), names.get((process, thread), "thread")
    run = f"{process_name} {process} / {thread_name} {thread}"
    dimensions = {"process": process_name, "thread": thread_name}
    at = round(begin * _US_NS)
    if kind == "X":
        events.span(run, str(name), at, round((begin + lasting) * _US_NS), dimensions)
    elif name:
        events.event(run, f"{name}_{'start' if kind == 'B' else 'end'}", at, dimensions)
    else:
        reading.bad(path.name, "an end without a name")
