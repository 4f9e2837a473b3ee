"""`trivet runs emit|import|compact|forget`: what changes a store of events.

Rule: `emit` loads nothing heavy: it is called from scripts, once an event.
"""

import time
from pathlib import Path

from trivet.cli.runs import PLAIN_READING, ReadOptions, default_store
from trivet.errors import InputError


def emit_(
    run: str, event: str, /, *, store: Path | None = None, source: str = "", tag: tuple[str, ...] = ()
) -> None:
    """Keep one event of a run, now; it is on the disk when this returns.

    Parameters
    ----------
    run
        The run.
    event
        The waypoint: request, queue_start, flash_end ...
    store
        The folder of the store.
    source
        Whose clock tells the time (this machine's name unless told).
    tag
        A dimension of the run: NAME=VALUE; may be repeated.
    """
    import socket

    from trivet.monitor.runs.emitter import dimensions_json
    from trivet.monitor.runs.event_log import Event
    from trivet.monitor.runs.event_store import EventStore

    pairs = [words.partition("=") for words in tag]
    if not all(name and equals for name, equals, _ in pairs):
        raise InputError("--tag wants NAME=VALUE")
    if not (run and event):
        raise InputError("a run and an event have names of at least one letter")
    dimensions = dimensions_json({name: value for name, _, value in pairs})
    now = time.time_ns()
    kept = EventStore(store or default_store())
    try:
        kept.append([Event(run, event, now, now, source or socket.gethostname(), now, dimensions)])
    finally:
        kept.close()


def import_(files: list[Path], /, *, store: Path | None = None, options: ReadOptions = PLAIN_READING) -> None:
    """Read files of events into a store; what it holds already is not kept twice.

    Parameters
    ----------
    files
        Files of events.
    store
        The folder of the store.
    """
    from rich.console import Console

    from trivet.monitor.runs.event_store import EventStore
    from trivet.monitor.runs.importing import import_files
    from trivet.monitor.runs.terminal import print_findings

    times = options.times()
    kept = EventStore(store or default_store())
    try:
        result = import_files(files, kept, times=times, format_=options.format, memory_mib=options.memory_mib)
    finally:
        kept.close()
    known = result.read - result.added
    print(
        f"{result.added:,} events kept" + (f"; {known:,} were there already or are repeated" if known else "")
    )
    print_findings(Console(stderr=True, highlight=False), result.findings)


def compact_(store: Path | None = None, /) -> None:
    """Seal the newest events and merge small segments, so that the store takes less room and reads faster.

    Parameters
    ----------
    store
        The folder of the store.
    """
    from trivet.monitor.runs.event_store import EventStore

    kept = EventStore(store or default_store(), create=False)
    try:
        merged = kept.compact()
        segments = kept.segments()
    finally:
        kept.close()
    events = sum(segment.rows for segment in segments)
    print(f"{merged} segments merged; {events:,} events in {len(segments)}")


def forget_(store: Path | None = None, /, *, older_than_days: float) -> None:
    """Forget old events.

    Parameters
    ----------
    store
        The folder of the store.
    older_than_days
        Events older than this go.
    """
    from trivet.monitor.runs.event_store import EventStore

    if older_than_days <= 0:
        raise InputError("--older-than-days wants a number above 0")
    kept = EventStore(store or default_store(), create=False)
    try:
        gone = kept.retain(time.time_ns() - int(older_than_days * 86_400e9))
    finally:
        kept.close()
    print(f"{gone:,} events forgotten")
