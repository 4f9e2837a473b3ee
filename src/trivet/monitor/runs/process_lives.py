"""The processes of a drive as runs: each life of a process is a run of one phase, from its start to its end.

Rule: what is read is the series that `trivet up` keeps; a process that still runs is open.
"""

from pathlib import Path

from trivet.errors import InputError, TrivetError
from trivet.insight.runs.event_table import SECOND_NS
from trivet.io.figures_reading import read_lives
from trivet.monitor.runs.reading import Reading
from trivet.monitor.runs.span_events import SpanEvents

_MIB = 1 << 20


def read_processes(path: Path, reading: Reading) -> None:
    """Read one file of series, `processes.sqlite` in a drive's state folder."""
    try:
        lives = read_lives(path)
    except TrivetError as error:
        raise InputError(f"{error}; only processes.sqlite of a drive's state can be read") from error
    if not lives:
        raise InputError(f"{path} tells of no process yet")
    events = SpanEvents(reading)
    for one in lives:
        dimensions = {"role": one.role, "process": one.name, "pid": str(one.pid)}
        dimensions["peak_mib"] = str(round(one.peak_bytes / _MIB))
        if one.cpu_percent is not None:
            dimensions["cpu_percent"] = f"{one.cpu_percent:.1f}"
        begin_ns, end_ns = (
            None if at_s is None else round(at_s) * SECOND_NS for at_s in (one.begin_s, one.end_s)
        )
        assert begin_ns is not None
        events.span(f"{one.name} {one.pid}", "running", begin_ns, end_ns, dimensions)
    events.flush()
