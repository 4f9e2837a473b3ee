"""Where alerts go: the terminal, a file, a command, a web hook.

Rule: a sink never holds up the reader: alerts wait in a bounded queue, and what does not fit is told.
Rule: a command is run without a shell and finds the alert as JSON on standard input; a hook gets a POST.
"""

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType

import httpx

from trivet.errors import InputError, TrivetError
from trivet.insight.logs.alert import AlertChanged
from trivet.insight.logs.alert_watch import as_json
from trivet.io import runner
from trivet.monitor.logs.report import alert_text

Say = Callable[[str], None]
Sink = Callable[[AlertChanged], Awaitable[None]]
_WAITING = 100
_DEADLINE_S = 30.0
_HOOK_DEADLINE_S = 10.0


def terminal_sink(say: Say) -> Sink:
    """Return a sink that says each alert in one line."""

    async def tell(change: AlertChanged) -> None:
        say(alert_text(change))

    return tell


def file_sink(path: Path) -> Sink:
    """Return a sink that appends each alert to `path` as one JSON line; raises InputError if it can't."""
    try:
        path.open("a").close()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error

    def append(line: str) -> None:
        with path.open("a", encoding="utf-8") as out:
            out.write(line + "\n")

    async def tell(change: AlertChanged) -> None:
        await asyncio.to_thread(append, _json(change))

    return tell


def command_sink(command: str) -> Sink:
    """Return a sink that runs `command` (words as a shell would split them, no shell) for each alert."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"--alert-command can't be split into words: {error}") from error
    if not words:
        raise InputError("--alert-command names no program")

    async def tell(change: AlertChanged) -> None:
        done = await runner.run(words, body=_json(change).encode() + b"\n", deadline_s=_DEADLINE_S)
        if done.exit_code:
            raise TrivetError(
                f"{words[0]} ended with {done.exit_code}: {done.stderr[-200:].decode(errors='replace')}"
            )

    return tell


def hook_sink(url: str) -> Sink:
    """Return a sink that posts each alert as JSON to `url`."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--alert-webhook wants an http or https address, not {url!r}")

    async def tell(change: AlertChanged) -> None:
        async with httpx.AsyncClient(timeout=_HOOK_DEADLINE_S) as client:
            try:
                answer = await client.post(
                    url, content=_json(change), headers={"content-type": "application/json"}
                )
            except httpx.HTTPError as error:
                raise TrivetError(f"{url}: {error or type(error).__name__}") from error
        if answer.status_code >= 300:
            raise TrivetError(f"{url} answered {answer.status_code}")

    return tell


def _json(change: AlertChanged) -> str:
    return json.dumps({**as_json([change])[0], "text": alert_text(change)})


class AlertDesk(AbstractAsyncContextManager["AlertDesk"]):
    """Hands alerts to `sinks` in the background; leaving the block waits until all were told."""

    def __init__(self, sinks: Sequence[Sink], say: Say) -> None:
        self._sinks = sinks
        self._say = say
        self._queue: asyncio.Queue[AlertChanged] = asyncio.Queue(_WAITING)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "AlertDesk":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        try:
            await asyncio.wait_for(self._queue.join(), _DEADLINE_S + _HOOK_DEADLINE_S)
        except TimeoutError:
            self._say("some alerts could not be told in time")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def tell(self, change: AlertChanged) -> None:
        """Hand over an alert; never waits."""
        try:
            self._queue.put_nowait(change)
        except asyncio.QueueFull:
            self._say(f"the alert sinks are too slow; not told: {alert_text(change)}")

    async def _work(self) -> None:
        while True:
            change = await self._queue.get()
            for sink in self._sinks:
                try:
                    await sink(change)
                except (TrivetError, OSError) as error:
                    self._say(f"an alert could not be told: {error}")
            self._queue.task_done()
