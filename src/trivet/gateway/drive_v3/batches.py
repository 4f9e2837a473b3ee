"""/batch/drive/v3: up to 100 calls in one request, answered in order, each as if it came alone.

Rule: calls run one after the other under the rights of the batch's sender; content can't be sent or fetched.
"""

import secrets
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.batch import BatchAnswer, BatchCall, batch_body, parse_batch
from trivet.drive.errors_v3 import drive_error
from trivet.drive.multipart import boundary_of
from trivet.errors import RequestError
from trivet.gateway.bodies import small_body
from trivet.gateway.drive_v3.asking import JSON_TYPE, asker

BODY_MAX_BYTES = 8 << 20


async def batch(request: Request) -> Response:
    """Answer a batch."""
    asker(request)
    calls = parse_batch(
        boundary_of(request.headers.get("content-type", "")), await small_body(request, BODY_MAX_BYTES)
    )
    answers = []
    for call in calls:
        refusal = call.error or _refusal(call)
        if refusal:
            status, told = drive_error(RequestError(refusal))
            answers.append(_answer(call, status, [("Content-Type", JSON_TYPE)], msgspec.json.encode(told)))
        else:
            answers.append(await _call(request, call))
    boundary = f"batch_{secrets.token_urlsafe(18)}"
    return Response(batch_body(boundary, answers), media_type=f"multipart/mixed; boundary={boundary}")


def _refusal(call: BatchCall) -> str:
    path, _, query = call.target.partition("?")
    if not path.startswith("/drive/v3/"):
        return "a batch holds calls to /drive/v3 only; uploads and batches can't be inside"
    return "content can't be fetched in a batch" if "alt=media" in query.split("&") else ""


def _answer(call: BatchCall, status: int, headers: list[tuple[str, str]], body: bytes) -> BatchAnswer:
    reason = HTTPStatus(status).phrase if status in list(HTTPStatus) else "Status"
    return BatchAnswer(call.content_id, status, reason, [*headers, ("Content-Length", str(len(body)))], body)


async def _call(request: Request, call: BatchCall) -> BatchAnswer:
    """Let the app answer one call, as the sender of the batch."""
    path, _, query = call.target.partition("?")
    own = {name for name in call.headers if name not in {"authorization", "cookie", "content-length", "host"}}
    headers = [(name.encode("latin-1"), call.headers[name].encode("latin-1", "replace")) for name in own]
    headers.append((b"host", request.headers.get("host", "localhost").encode("latin-1")))
    headers.append((b"content-length", str(len(call.body)).encode()))
    scope: dict[str, Any] = {
        **{
            name: request.scope[name] for name in request.scope if name.startswith("trivet.") or name == "app"
        },
        **{name: request.scope[name] for name in ("type", "http_version", "scheme", "server", "client")},
        "method": call.method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "headers": headers,
        "root_path": "",
    }
    status, sent, body = 500, list[tuple[str, str]](), bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": call.body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, sent
        if message["type"] == "http.response.start":
            status = message["status"]
            sent = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        else:
            body.extend(message.get("body", b""))

    await request.app.state.inner(scope, receive, send)
    kept = [(name, value) for name, value in sent if name.lower() in {"content-type", "etag", "location"}]
    return _answer(call, status, kept, bytes(body))


ROUTES = [
    Route("/batch/drive/v3", batch, methods=["POST"]),
    Route("/batch", batch, methods=["POST"]),
]
