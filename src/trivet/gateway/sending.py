"""The bytes of a file as an answer: whole, a range, or only its headers.

Rule: an answer is one version of the file; its ETag is that version.
Source: RFC 9110, sections 13 and 14.
"""

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from trivet.drive.ranges import parse_range
from trivet.errors import BadRange
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.reading import hold, read_pieces
from trivet.volume.interface import Snapshot

#: What is at most sent without streaming.
SMALL_BYTES = 256 << 10


async def send_file(
    drive: Drive, request: Request, ino: int, name: str, mime_type: str, headers: Mapping[str, str]
) -> Response:
    """Return the answer that sends the file `ino`, or the range of it that `request` asks for."""
    snapshot = await hold(drive, ino)
    passed_on = False
    try:
        told = answer_headers(snapshot, name, mime_type) | dict(headers)
        if _is_known(request, told["ETag"]):
            return Response(status_code=304, headers={"ETag": told["ETag"]})
        size = snapshot.attributes.size
        asked = request.headers.get("range")
        if asked and request.headers.get("if-range", told["ETag"]) != told["ETag"]:
            asked = None
        part = parse_range(asked, size)
        start, stop = (part.start, part.stop) if part else (0, size)
        if part:
            told["Content-Range"] = part.header
        told["Content-Length"] = str(stop - start)
        status = 206 if part else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=told)
        if stop - start <= SMALL_BYTES:
            data = await drive.volume.read(snapshot.handle, start, stop - start) if stop > start else b""
            return Response(data, status, told)
        passed_on = True
        pieces = read_pieces(drive, snapshot, start, stop)
        _release_in_the_end(request, pieces)
        return StreamingResponse(pieces, status, told)
    finally:
        if not passed_on:
            await drive.volume.release(snapshot.handle)


def _release_in_the_end(request: Request, pieces: AsyncIterator[bytes]) -> None:
    """Let go of the snapshot when the request ends, also if the sending never began."""

    async def close(error: BaseException | None) -> None:
        await pieces.aclose()  # type: ignore[attr-defined]

    request.scope["trivet.teardown"].append(close)


def answer_headers(snapshot: Snapshot, name: str, mime_type: str) -> dict[str, str]:
    """Return the headers that every answer with a file's bytes has."""
    return {
        "Content-Type": mime_type,
        "ETag": f'"{snapshot.version}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-cache",
    }


def _is_known(request: Request, etag: str) -> bool:
    known = request.headers.get("if-none-match")
    return known is not None and (known.strip() == "*" or etag in (part.strip() for part in known.split(",")))


def bad_range_headers(error: BadRange) -> dict[str, str]:
    """Return the Content-Range of a 416 answer."""
    return {} if error.size_bytes is None else {"Content-Range": f"bytes */{error.size_bytes}"}
