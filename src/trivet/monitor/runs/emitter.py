"""For programs that want their runs told: `with run.phase("flash"):` around the work.

    with Emitter(folder, source="bench-3") as emitter:
        run = emitter.run("build-4711", device_group="phones")
        run.event("request")
        with run.phase("flash"):
            ...

Rule: an event costs the program a few microseconds: it is put into a buffer, a thread keeps it.
Rule: `flush` and `close` return when all events so far are on the disk; a program killed before loses
at most the last `FLUSH_S`. A buffer that can't be written is kept up to BUFFER_EVENTS, then counted lost.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from trivet.errors import InputError, TrivetError
from trivet.monitor.runs.event_log import Event, EventLog
from trivet.monitor.runs.event_store import EventStore

FLUSH_S = 0.5
BUFFER_EVENTS = 100_000

#: A dimension can't have the name of a column of the store.
_TAKEN = ("testrun_id", "event_name", "event_emit", "event_receive", "source", "sequence")


class Emitter:
    """Emits events of runs into the store in `folder`, or into any `EventLog`; `source` says whose clock."""

    def __init__(self, folder: Path | EventLog, *, source: str = "") -> None:
        self._log: EventLog = EventStore(folder) if isinstance(folder, Path) else folder
        self.source = source or f"{socket.gethostname()}:{os.getpid()}"
        self._buffer: list[Event] = []
        self._buffering = threading.Lock()
        self._writing = threading.Lock()
        #: Numbers go up over all emitters of a source, also after a restart: each starts at its birth in ns.
        self._sequence = time.time_ns()
        self.lost = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_flushing, name="trivet-runs", daemon=True)
        self._thread.start()

    def run(self, run: str, **dimensions: str) -> "RunEmitter":
        """The emitter of the events of `run`, all of which carry `dimensions`."""
        return RunEmitter(self, run, dimensions_json(dimensions))

    def emit(self, run: str, name: str, dimensions: str = "") -> None:
        """Put the event `name` of `run` into the buffer; `dimensions` are a JSON object of texts."""
        now = time.time_ns()
        with self._buffering:
            self._sequence += 1
            if len(self._buffer) < BUFFER_EVENTS:
                self._buffer.append(Event(run, name, now, now, self.source, self._sequence, dimensions))
            else:
                self.lost += 1

    def flush(self) -> None:
        """Return when every event so far is on the disk; raises TrivetError when it can't be put there."""
        with self._writing:
            with self._buffering:
                batch, self._buffer = self._buffer, []
            try:
                if batch:
                    self._log.append(batch)
            except TrivetError:
                with self._buffering:
                    self._buffer = batch + self._buffer
                raise

    def close(self) -> None:
        """Flush, and stop the thread."""
        self._stop.set()
        self._thread.join()
        self.flush()
        if isinstance(self._log, EventStore):
            self._log.close()

    def __enter__(self) -> "Emitter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _keep_flushing(self) -> None:
        while not self._stop.wait(FLUSH_S):
            try:
                self.flush()
            except TrivetError:
                continue  # kept in the buffer; the next flush, or the program's own, tries again


class RunEmitter:
    """Emits the events of one run."""

    __slots__ = ("_dimensions", "_emitter", "_run")

    def __init__(self, emitter: Emitter, run: str, dimensions: str) -> None:
        self._emitter, self._run, self._dimensions = emitter, run, dimensions

    def event(self, name: str) -> None:
        """Tell that the waypoint `name` was reached."""
        self._emitter.emit(self._run, name, self._dimensions)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tell the beginning and the end of the phase `name` around what is done inside.

        When that raises, the end is told as well: the time was spent; `error` goes with it as a dimension.
        """
        self._emitter.emit(self._run, f"{name}_start", self._dimensions)
        try:
            yield
        except BaseException as error:
            known = json.loads(self._dimensions) if self._dimensions else {}
            self._emitter.emit(self._run, f"{name}_end", json.dumps({**known, "error": type(error).__name__}))
            raise
        self._emitter.emit(self._run, f"{name}_end", self._dimensions)


def dimensions_json(dimensions: dict[str, str]) -> str:
    """`dimensions` as the store keeps them; raises InputError for a name that is taken."""
    taken = [name for name in dimensions if name in _TAKEN]
    if taken:
        raise InputError(f"'{taken[0]}' is a column of every event and can't be a dimension")
    return json.dumps({name: str(value) for name, value in dimensions.items()}) if dimensions else ""
