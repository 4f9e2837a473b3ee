"""The control socket: one request a connection, JSON lines over a unix socket only its owner may open.

Rule: the client sends {"do": verb, ...arguments}; the server answers {"progress": {...}} lines while it works
and ends with {"result": {...}} or {"error": {"kind", "message", "exit_code"}}.
Rule: while a handler works the server says {"alive": true} every ALIVE_EVERY_S, so that silence means hung.
Rule: a client that goes away cancels its handler; a TrivetError becomes an answer, a bug ends the process.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from trivet.errors import ConfigError, InputError, ProtocolError, TrivetError
from trivet.io.unix_socket import bound_socket, socket_name

REQUEST_LINE_BYTES = 64 * 1024
ANSWER_LINE_BYTES = 32 * 1024 * 1024
REQUEST_DEADLINE_S = 5.0
ALIVE_EVERY_S = 2.0
SILENCE_S = 10.0
LAST_ANSWERS_S = 1.0
OPEN_CONNECTIONS = 32
UNREAD_PROGRESS_BYTES = 256 * 1024

Report = Callable[[Mapping[str, Any]], None]
Handler = Callable[[dict[str, Any], Report], Awaitable[Mapping[str, Any]]]


class NotRunning(ConfigError):
    """Nobody listens on the control socket."""

    exit_code = 3


class Remote(TrivetError):
    """The other side's error, with its own message and exit code."""

    def __init__(self, kind: str, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.kind = kind
        self.exit_code = exit_code


@asynccontextmanager
async def serve_control(
    path: Path, handlers: Mapping[str, Handler], *, places: int = OPEN_CONNECTIONS
) -> AsyncIterator[None]:
    """Serve `handlers` on the unix socket `path` as long as the block runs; a bug in one ends the block.

    At most `places` connections are answered at a time. A socket file nobody answers on is replaced; a live
    one raises ConfigError.
    """
    await _clear_stale(path)
    failure: TrivetError | None = None
    async with asyncio.TaskGroup() as tasks:
        free = asyncio.Semaphore(places)
        running: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = tasks.create_task(_converse(reader, writer, handlers, free))
            running.add(task)
            task.add_done_callback(running.discard)

        server = await asyncio.start_unix_server(accept, sock=bound_socket(path), limit=REQUEST_LINE_BYTES)
        try:
            yield
        except TrivetError as error:  # expected: told as it is, not inside a group
            failure = error
        finally:
            server.close()
            _remove(path)
            if running:  # whoever is about to be answered is answered
                await asyncio.wait(running, timeout=LAST_ANSWERS_S)
            for task in running:
                task.cancel()
    if failure is not None:
        raise failure


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handlers: Mapping[str, Handler],
    places: asyncio.Semaphore,
) -> None:
    """Answer one connection: read its request, run the handler, tell the outcome."""
    try:
        if places.locked():
            _send(writer, {"error": told_error(ProtocolError("too many open control connections"))})
            return
        async with places:
            request = await _request(reader)
            _send(writer, await _outcome(reader, writer, handlers, request))
            await asyncio.wait_for(writer.drain(), SILENCE_S)
    except ProtocolError as error:
        _send(writer, {"error": told_error(error)})
    except (ConnectionError, TimeoutError):
        return
    finally:
        writer.close()


async def _request(reader: asyncio.StreamReader) -> dict[str, Any]:
    """Return the request of a connection; ProtocolError when it is none."""
    try:
        line = await asyncio.wait_for(reader.readuntil(b"\n"), REQUEST_DEADLINE_S)
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        raise ProtocolError("a control request is one line of JSON") from error
    return request_of(line)


def request_of(line: bytes) -> dict[str, Any]:
    """Return the request on a line; ProtocolError when it is none."""
    try:
        request = json.loads(line)
    except ValueError as error:
        raise ProtocolError("a control request is one line of JSON") from error
    if not isinstance(request, dict) or not isinstance(request.get("do"), str):
        raise ProtocolError('a control request is {"do": verb, ...}')
    return request


async def _outcome(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    handlers: Mapping[str, Handler],
    request: dict[str, Any],
) -> dict[str, Any]:
    """Run the handler `request` asks for; return its last line. ConnectionError when the client left."""

    def report(step: Mapping[str, Any]) -> None:
        if writer.transport.get_write_buffer_size() < UNREAD_PROGRESS_BYTES:
            _send(writer, {"progress": dict(step)})

    working = asyncio.create_task(answer_to(handlers, request, report))
    gone = asyncio.create_task(reader.read(1))
    try:
        while not working.done():
            await asyncio.wait({working, gone}, timeout=ALIVE_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not working.done():
                raise ConnectionResetError
            if not working.done():
                _send(writer, {"alive": True})
        return working.result()
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.wait({working, gone})


async def answer_to(
    handlers: Mapping[str, Handler], request: dict[str, Any], report: Report
) -> dict[str, Any]:
    """Run the handler that `request` asks for; return the last line: its result, or its error."""
    verb = request.pop("do")
    handler = handlers.get(verb)
    try:
        if handler is None:
            raise InputError(f"no control verb {verb!r}; there are: {', '.join(handlers)}")
        return {"result": dict(await handler(request, report))}
    except TrivetError as error:
        return {"error": told_error(error)}


def outcome_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the result on a last line, or raise Remote with the other side's error."""
    if "error" in answer:
        raise Remote(**answer["error"])
    return dict(answer["result"])


def told_error(error: TrivetError) -> dict[str, Any]:
    """Return what a last line says of an error."""
    return {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}


def _send(writer: asyncio.StreamWriter, line: Mapping[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(line).encode() + b"\n")


async def ask(
    path: Path,
    do: str,
    arguments: Mapping[str, Any] | None = None,
    on_progress: Report | None = None,
    silence_s: float = SILENCE_S,
) -> dict[str, Any]:
    """Ask the process behind the socket `path` to `do` something; return its result.

    `on_progress` is handed each progress line. Raises NotRunning when nobody listens, Remote with the other
    side's error, and Remote "Hung" after `silence_s` without a sign of life.
    """
    try:
        with socket_name(path) as name:
            reader, writer = await asyncio.open_unix_connection(name, limit=ANSWER_LINE_BYTES)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NotRunning(f"nothing is running on {path.parent}") from error
    except PermissionError as error:
        raise ConfigError(f"{path} belongs to another user; run this as the user who started it") from error
    try:
        writer.write(json.dumps({"do": do, **(arguments or {})}).encode() + b"\n")
        while True:
            answer = await _answer(reader, path, silence_s)
            if "progress" in answer and on_progress is not None:
                on_progress(answer["progress"])
            if "result" in answer or "error" in answer:
                return outcome_of(answer)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, path: Path, silence_s: float) -> dict[str, Any]:
    try:
        line = await asyncio.wait_for(reader.readuntil(b"\n"), silence_s)
        return dict(json.loads(line))
    except TimeoutError:
        raise Remote("Hung", f"{path} gave no sign of life for {silence_s:g} s", 3) from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError) as error:
        raise Remote("Died", f"the process behind {path} ended before it had answered", 3) from error


async def _clear_stale(path: Path) -> None:
    """Remove the socket file of a process that died; ConfigError when somebody answers on it."""
    try:
        with socket_name(path) as name:
            _, writer = await asyncio.open_unix_connection(name)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        _remove(path)
        return
    writer.close()
    raise ConfigError(f"another process already serves {path}")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
