"""JUnit XML as test tools write it: a suite is a run, its classes of tests are phases.

Rule: JUnit tells how long a test took, not when: tests are laid one after another from the beginning of
their suite, and that is said. A suite without a timestamp begins at 0, and that is said too.
Rule: the document is read element by element; entities and external references are refused.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from trivet.errors import InputError
from trivet.insight.runs.event_table import SECOND_NS
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.span_events import SpanEvents

_MOST_S = 1e9


class _Suite:
    """One suite while it is read."""

    def __init__(self, run: str, begin_ns: int, time_s: float | None, dimensions: dict[str, str]) -> None:
        self.run, self.begin_ns, self.time_s, self.dimensions = run, begin_ns, time_s, dimensions
        self.tests: list[tuple[str, float]] = []
        self.outcome = "passed"


def read_junit(path: Path, reading: Reading) -> None:
    """Read one JUnit XML file."""
    import defusedxml
    import defusedxml.ElementTree as ElementTree

    open_suites: list[_Suite] = []
    events = SpanEvents(reading)
    found = 0
    try:
        for moment, element in ElementTree.iterparse(path, events=("start", "end"), forbid_dtd=True):
            kind = str(element.tag).rpartition("}")[2]
            if kind == "testsuite" and moment == "start":
                open_suites.append(_suite(element.attrib, path, len(open_suites) + found, reading))
            elif kind == "testsuite":
                found += 1
                _finish(open_suites.pop(), events, reading, path)
                element.clear()
            elif kind == "testcase" and moment == "end" and open_suites:
                _test(element, open_suites[-1], reading, path)
                element.clear()
    except ElementTree.ParseError as error:
        raise InputError(f"{path.name} is no readable XML: {error}") from None
    except defusedxml.DefusedXmlException:
        raise InputError(f"{path.name} declares a document type or entities: remove them") from None
    if not found:
        raise InputError(f"{path.name} holds no <testsuite>: JUnit XML is understood")
    events.flush()
    if not any(finding.rule == "assumed-order" for finding in reading.notes):
        words = "JUnit tells how long tests took, not when: they are laid one after another"
        reading.note("assumed-order", words)


def _suite(attributes: Mapping[str, str], path: Path, number: int, reading: Reading) -> _Suite:
    name = attributes.get("name") or f"suite {number + 1}"
    stamp = attributes.get("timestamp", "")
    begin_ns = _moment(stamp, reading, path) if stamp else None
    if begin_ns is None:
        reading.note("unknown-begin", f"{path.name}: the suite '{name}' has no timestamp; it is put at 0")
    dimensions = {"suite": name, "file": path.name}
    if attributes.get("hostname"):
        dimensions["hostname"] = attributes["hostname"]
    run = f"{name} {stamp}" if begin_ns is not None else f"{path.name}:{name}"
    return _Suite(run, begin_ns or 0, _seconds(attributes.get("time")), dimensions)


def _test(element: Any, suite: _Suite, reading: Reading, path: Path) -> None:
    seconds = _seconds(element.attrib.get("time"))
    if seconds is None:
        shown = element.attrib.get("name", "a test")[:60]
        reading.bad(path.name, f"the test '{shown}' has no readable time")
        return
    name = (
        element.attrib.get("classname") or element.attrib.get("file") or element.attrib.get("name") or "test"
    )
    suite.tests.append((name, seconds))
    outcomes = {str(child.tag).rpartition("}")[2] for child in element}
    if outcomes & {"failure", "error"}:
        suite.outcome = "failed"


def _finish(suite: _Suite, events: SpanEvents, reading: Reading, path: Path) -> None:
    dimensions = {**suite.dimensions, "outcome": suite.outcome}
    events.event(suite.run, "suite_begin", suite.begin_ns, dimensions)
    at = suite.begin_ns
    for name, seconds in suite.tests:
        end = at + round(seconds * SECOND_NS)
        events.span(suite.run, name, at, end, dimensions)
        at = end
    spent_s = (at - suite.begin_ns) / SECOND_NS
    whole_s = spent_s if suite.time_s is None else suite.time_s
    if spent_s > whole_s * 1.01 + 0.01:
        words = (
            f"{path.name}: tests of '{suite.run}' took {spent_s:.1f} s together in a suite of {whole_s:.1f} s"
        )
        reading.note("parallel", f"{words}: they ran beside each other")
    events.event(
        suite.run, "suite_finish", suite.begin_ns + round(max(whole_s, spent_s) * SECOND_NS), dimensions
    )


def _moment(stamp: str, reading: Reading, path: Path) -> int | None:
    try:
        moment = datetime.datetime.fromisoformat(stamp)
    except ValueError:
        reading.bad(path.name, f"'{stamp[:40]}' is no timestamp")
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(reading.times.zone))
        if not any(finding.rule == "assumed-zone" for finding in reading.notes):
            words = f"timestamps without a zone are taken as {reading.times.zone}; --zone says otherwise"
            reading.note("assumed-zone", words)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000


def _seconds(words: str | None) -> float | None:
    """Seconds as JUnit writes them (some tools mark thousands: 1,234.5); None when it is no duration."""
    try:
        seconds = float((words or "").replace(",", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < _MOST_S else None
