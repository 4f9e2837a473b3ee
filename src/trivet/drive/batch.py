"""Batches: up to 100 calls in one multipart/mixed body, each an HTTP request without a host.

Rule: a call that can't be read is answered in its place; only a batch that is itself malformed is refused.
Source: the published protocol's page "Send batch requests".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trivet.drive.multipart import MultipartParser, PartBegun, PartData, PartEnded, parse_headers
from trivet.errors import PayloadTooLarge, RequestError

CALLS_MAX = 100
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class BatchCall:
    """One call; `content_id` is the part's own, "" if it has none. `error` says why it can't be read."""

    content_id: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    error: str = ""


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What one call got."""

    content_id: str
    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def parse_batch(boundary: bytes, body: bytes) -> list[BatchCall]:
    """Return the calls of a batch's whole `body`; RequestError when it is malformed or has too many."""
    parser = MultipartParser(boundary)
    calls: list[BatchCall] = []
    headers: dict[str, str] = {}
    parts: list[bytes] = []
    for event in parser.feed(body):
        if isinstance(event, PartBegun):
            headers, parts = event.headers, []
        elif isinstance(event, PartData):
            parts.append(event.data)
        elif isinstance(event, PartEnded):
            calls.append(_call(headers, b"".join(parts)))
            if len(calls) > CALLS_MAX:
                raise PayloadTooLarge(f"a batch has at most {CALLS_MAX} calls")
    parser.close()
    if not calls:
        raise RequestError("the batch holds no call")
    return calls


def _call(headers: dict[str, str], payload: bytes) -> BatchCall:
    content_id = headers.get("content-id", "")
    ends = [(at, len(mark)) for mark in (b"\r\n\r\n", b"\n\n") if (at := payload.find(mark)) >= 0]
    at, length_of_mark = min(ends, default=(len(payload), 0))
    head, body = payload[:at], payload[at + length_of_mark :]
    line, _, rest = head.lstrip(b"\r\n").replace(b"\r\n", b"\n").partition(b"\n")
    words = line.decode("latin-1").split()
    if len(words) not in (2, 3) or words[0] not in METHODS or not words[1].startswith(("/", "http")):
        return BatchCall(content_id, "GET", "/", {}, b"", "the call's first line is no request")
    try:
        own = parse_headers(rest)
    except RequestError as error:
        return BatchCall(content_id, "GET", "/", {}, b"", str(error))
    target = words[1]
    if target.startswith("http"):
        _, _, behind = target.partition("://")
        target = "/" + behind.partition("/")[2]
    length = own.get("content-length", "")
    body = body[: int(length)] if length.isdecimal() and len(length) < 12 else body
    return BatchCall(content_id, words[0], target, own, body)


def batch_body(boundary: str, answers: Sequence[BatchAnswer]) -> bytes:
    """Return the multipart/mixed body that tells `answers` in order."""
    parts: list[bytes] = []
    for answer in answers:
        lines = [f"--{boundary}", "Content-Type: application/http"]
        if answer.content_id:
            lines.append(f"Content-ID: {_response_id(answer.content_id)}")
        lines += ["", f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        parts.append("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + answer.body + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()])


def _response_id(content_id: str) -> str:
    return f"<response-{content_id[1:]}" if content_id.startswith("<") else f"response-{content_id}"
