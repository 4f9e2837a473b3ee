"""The XML-RPC door on a bank's port: HTTP for people who look into a server by hand, or spoil it on purpose.

Rule: loopback only, POST /RPC2 only, and never for a web page: the type must be text/xml and the Host a local
one, which a browser's foreign page can't send.
Rule: bodies are bounded, read and parsed off the loop; one access-log line for each request.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Any
from xml.parsers.expat import ExpatError
from xmlrpc.client import Error, Fault, Unmarshaller, dumps

import h11
from defusedxml.xmlrpc import DefusedExpatParser

from trivet.bank.server_log import access
from trivet.errors import RequestError, TrivetError

Call = Callable[..., Awaitable[Any]]

FIRST_BYTES = (b"POST ", b"GET /", b"HEAD ", b"PUT /", b"DELET", b"OPTIO", b"PATCH")
MAX_BODY_BYTES = 4 << 20
REQUEST_TIMEOUT_S = 30.0
REQUESTS_AT_ONCE = 4
_CHUNK_BYTES = 64 << 10
_PATHS = {b"/RPC2", b"/"}
_NOT_XML, _NO_METHOD, _WRONG_USE, _FAILED = -32700, -32601, -32602, -32500


class XmlRpcDoor:
    """Serves `calls` (method name to coroutine function); None refuses every request: the door is shut."""

    def __init__(self, calls: dict[str, Call] | None) -> None:
        self._calls = calls
        self._places = asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        """Serve one connection of which the bytes `first` were read already; raises OSError, TimeoutError."""
        conversation = h11.Connection(h11.SERVER, max_incomplete_event_size=16 << 10)
        conversation.receive_data(first)
        client = str(writer.get_extra_info("peername")[0])
        while True:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    request = await _next_event(conversation, reader)
                    if not isinstance(request, h11.Request):
                        return
                    async with self._places:
                        status, content = await self._answer(conversation, reader, request, client)
            except h11.RemoteProtocolError as error:
                status, content, request = error.error_status_hint, b"not HTTP as we know it\n", None
            _log_request(client, request, status, len(content))
            writer.write(_response(conversation, status, content))
            await writer.drain()
            if {conversation.our_state, conversation.their_state} != {h11.DONE}:
                return
            conversation.start_next_cycle()

    async def _answer(
        self, conversation: h11.Connection, reader: asyncio.StreamReader, request: h11.Request, client: str
    ) -> tuple[int, bytes]:
        refusal = _why_not(request, client)
        if refusal is not None:
            return refusal
        if self._calls is None:
            return 403, b"the XML-RPC door of this server is shut\n"
        body = bytearray()
        while isinstance(event := await _next_event(conversation, reader), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                return 413, b"more than 4 MiB\n"
        return 200, await self._call(bytes(body))

    async def _call(self, body: bytes) -> bytes:
        assert self._calls is not None
        try:
            method, arguments = await asyncio.to_thread(_parse, body)
            call = self._calls.get(method or "")
            if call is None:
                known = ", ".join(sorted(self._calls))
                raise Fault(_NO_METHOD, f"there is no method {method!r}, only {known}")
            result = await call(*arguments)
        except Fault as fault:
            return dumps(fault).encode()
        except RequestError as error:
            return dumps(Fault(_WRONG_USE, str(error))).encode()
        except TrivetError as error:
            return dumps(Fault(_FAILED, str(error))).encode()
        return await asyncio.to_thread(lambda: dumps((result,), methodresponse=True).encode())


async def _next_event(conversation: h11.Connection, reader: asyncio.StreamReader) -> Any:
    while (event := conversation.next_event()) is h11.NEED_DATA:
        conversation.receive_data(await reader.read(_CHUNK_BYTES))
    return event


def _why_not(request: h11.Request, client: str) -> tuple[int, bytes] | None:
    headers = dict(request.headers)
    host = headers.get(b"host", b"localhost").decode("latin-1").rsplit(":", 1)[0].strip("[]")
    if not (_is_local(client) and _is_local(host)):
        return 403, b"this door opens to the machine itself only\n"
    if request.target not in _PATHS:
        return 404, b"XML-RPC is at /RPC2\n"
    if request.method != b"POST":
        return 405, b"XML-RPC is spoken with POST\n"
    if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"text/xml":
        return 415, b"XML-RPC is text/xml\n"
    return None


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parse(body: bytes) -> tuple[str | None, tuple[Any, ...]]:
    """Return (method, arguments) of an XML-RPC call; raises Fault for whatever else `body` is."""
    target = Unmarshaller(use_builtin_types=True)
    parser = DefusedExpatParser(target, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
        arguments, method = target.close(), target.getmethodname()
    except (ExpatError, Error, ValueError, TypeError, LookupError, AttributeError) as error:
        # The standard library's reader trips over wrong nesting in as many ways as there are.
        raise Fault(_NOT_XML, f"this is no XML-RPC call: {error}") from error
    return method, tuple(arguments)


def _response(conversation: h11.Connection, status: int, content: bytes) -> bytes:
    kind = b"text/xml" if status == 200 else b"text/plain"
    headers = [(b"Content-Type", kind), (b"Content-Length", b"%d" % len(content))]
    if status == 405:
        headers.append((b"Allow", b"POST"))
    if status != 200:
        headers.append((b"Connection", b"close"))
    parts = (
        h11.Response(status_code=status, headers=headers),
        h11.Data(data=content),
        h11.EndOfMessage(),
    )
    return b"".join(conversation.send(part) or b"" for part in parts)


def _log_request(client: str, request: h11.Request | None, status: int, size: int) -> None:
    line = "-"
    if request is not None:
        asked = b"%s %s HTTP/%s" % (request.method, request.target, request.http_version)
        line = asked.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    access.info('%s - - [%s] "%s" %s %s', client, stamp, line, status, size)
