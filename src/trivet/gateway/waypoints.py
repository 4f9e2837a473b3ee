"""Waypoints of requests that move a file's bytes: when each was reached, kept as a run for `trivet runs`.

Rule: a request only notes times in memory; one thread a worker hands them to the store, a batch at a time.
Rule: what waits is bounded; beyond it runs are dropped and counted, those of small answers first.
Rule: what a request did not come to, is not told: an upload that was cut has no `publish`.
"""

import contextvars
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from trivet.drive.rights import Principal
from trivet.errors import TrivetError
from trivet.gateway.teardown import App, Receive, Scope, Send

FLUSH_S = 1.0
#: How often it is told that some were dropped.
TELL_S = 60.0
#: How many runs wait at most, and how many of them may be such as took no waiting for anything.
WAITING_MAX, SMALL_MAX = 1000, 250
FILE_CHARACTERS = 300

#: (run, name of the event, ns since 1970, source, sequence, dimensions as a JSON object)
EventRow = tuple[str, str, int, str, int, str]

log = logging.getLogger(__name__)


class EventSink(Protocol):
    """Where events are kept."""

    def append(self, rows: Sequence[EventRow]) -> None:
        """Keep `rows`; TrivetError when that fails."""

    def close(self) -> None:
        """Let go of the store."""


class Trace:
    """One request's waypoints; `run` is the key of its transfer, None for one that has no key."""

    __slots__ = ("error", "file", "kind", "reached", "run", "small")

    def __init__(self) -> None:
        self.run: str | None = None
        self.kind, self.error, self.file = "", "", ""
        self.small = False
        self.reached: list[tuple[str, int]] = []


_trace: contextvars.ContextVar[Trace | None] = contextvars.ContextVar("trace", default=None)


def reach(*names: str) -> None:
    """Tell that the request being answered has reached the waypoints `names`."""
    trace = _trace.get()
    if trace is not None:
        now = time.time_ns()
        trace.reached += [(name, now) for name in names]


def moving(kind: str, run: str | None = None, *, file: str = "", small: bool = False) -> None:
    """Tell that the request being answered is an upload, a download, a cached one; its transfer's key.

    `file` is the path of what is moved, as far as that is known.
    """
    trace = _trace.get()
    if trace is not None:
        trace.kind, trace.small, trace.run = kind, small, run or trace.run
        trace.file = file[:FILE_CHARACTERS] or trace.file


def failed(reason: str) -> None:
    """Tell why the request being answered did not come to its end."""
    trace = _trace.get()
    if trace is not None:
        trace.error = reason


class Waypoints:
    """Hands what requests reached to `sink`; without one (None) nothing is noted."""

    def __init__(self, sink: EventSink | None) -> None:
        self._sink = sink
        self._waiting: list[tuple[str, dict[str, str], list[tuple[str, int]]]] = []
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._source = f"{socket.gethostname()}:{os.getpid()}"
        self._sequence = time.time_ns()
        self.dropped = 0
        self._thread = threading.Thread(target=self._keep_flushing, name="waypoints", daemon=True)
        if sink is not None:
            self._thread.start()

    @property
    def is_on(self) -> bool:
        """Whether anybody wants to know."""
        return self._sink is not None

    def keep(self, run: str, dimensions: Callable[[], dict[str, str]], trace: Trace) -> None:
        """Hand in what a request reached; `dimensions` are asked for if there is room."""
        if len(self._waiting) >= (SMALL_MAX if trace.small else WAITING_MAX):
            self.dropped += 1
            return
        kept = (run, dimensions(), trace.reached)
        with self._guard:
            self._waiting.append(kept)

    def close(self) -> None:
        """Hand over what waits, and let go of the sink."""
        self._stop.set()
        if self._sink is not None:
            self._thread.join()
            self._flush()
            self._sink.close()

    def _keep_flushing(self) -> None:
        told, told_s = 0, 0.0
        while not self._stop.wait(FLUSH_S):
            self._flush()
            if self.dropped > told and time.monotonic() - told_s > TELL_S:
                log.warning("waypoints of %d transfers were not kept so far: too many", self.dropped)
                told, told_s = self.dropped, time.monotonic()

    def _flush(self) -> None:
        with self._guard:
            waiting, self._waiting = self._waiting, []
        rows: list[EventRow] = []
        for run, dimensions, reached in waiting:
            told = json.dumps(dimensions)
            for name, at_ns in reached:
                self._sequence += 1
                rows.append((run, name, at_ns, self._source, self._sequence, told))
        if rows and self._sink is not None:
            try:
                self._sink.append(rows)
            except TrivetError as error:
                self.dropped += len(waiting)
                log.warning("waypoints could not be kept: %s", error)


class WaypointsMiddleware:
    """Notes the waypoints of each request to `app` and hands them to `waypoints`."""

    def __init__(self, app: App, waypoints: Waypoints) -> None:
        self.app = app
        self._waypoints = waypoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._waypoints.is_on:
            await self.app(scope, receive, send)
            return
        trace = Trace()
        _trace.set(trace)
        reach("request")
        try:
            await self.app(scope, receive, send)
        except BaseException as raised:
            trace.error = type(raised).__name__
            raise
        finally:
            if trace.kind:
                request_id = scope["trivet.request_id"]
                told = partial(_told, scope, trace, request_id)
                self._waypoints.keep(trace.run or request_id, told, trace)


def _told(scope: Scope, trace: Trace, request_id: str) -> dict[str, str]:
    who: Principal | None = scope.get("trivet.principal")
    told = {"queue": trace.kind, "requestor": who.user if who else "", "request_id": request_id}
    more = {"file": trace.file, "error": trace.error}
    return told | {name: value for name, value in more.items() if value}
