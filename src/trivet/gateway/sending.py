"""The bytes of a file as an answer: whole, a range, or only its headers.

Rule: an answer is one version of the file; its ETag is that version.
Source: RFC 9110, sections 13 and 14.
"""

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from trivet.drive.ranges import parse_range
from trivet.drive.rights import Principal
from trivet.errors import BadRange
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.hot_files import HotFile
from trivet.gateway.files.reading import hold, read_pieces
from trivet.gateway.sessions import principal_of
from trivet.volume.interface import Snapshot

#: What is at most sent without streaming.
SMALL_BYTES = 256 << 10


async def send_hot(drive: Drive, request: Request, file_id: str, who: Principal) -> Response | None:
    """Return the answer with a file that this worker has kept and that has not changed; else None."""
    hot = await drive.hot.get(drive.volume, file_id, who)
    if hot is None:
        return None
    told = dict(hot.headers)
    if _is_known(request, told["ETag"]):
        return Response(status_code=304, headers={"ETag": told["ETag"]})
    status, start, stop = _asked_part(request, told, len(hot.data))
    return Response(hot.data[start:stop], status, told)


async def send_file(
    drive: Drive,
    request: Request,
    ino: int,
    name: str,
    mime_type: str,
    headers: Mapping[str, str],
    *,
    keep_as: str | None = None,
) -> Response:
    """Return the answer that sends the file `ino`, or the range of it that `request` asks for.

    A small file that is sent whole is kept by this worker under the id `keep_as`.
    """
    queue = "wait=0" not in request.headers.get("prefer", "")
    snapshot = await hold(drive, ino, principal_of(request.scope).user, queue=queue)
    passed_on = False
    try:
        told = answer_headers(snapshot, name, mime_type) | dict(headers)
        if _is_known(request, told["ETag"]):
            return Response(status_code=304, headers={"ETag": told["ETag"]})
        own = dict(told)
        size = snapshot.attributes.size
        status, start, stop = _asked_part(request, told, size)
        if request.method == "HEAD":
            told["Content-Length"] = str(stop - start)
            return Response(status_code=status, headers=told)
        if stop - start <= SMALL_BYTES:
            data = await drive.volume.read(snapshot.handle, start, stop - start) if stop > start else b""
            if keep_as is not None and status == 200:
                drive.hot.keep(keep_as, HotFile(ino, snapshot.version, own, data))
            return Response(data, status, told)
        told["Content-Length"] = str(stop - start)
        passed_on = True
        pieces = read_pieces(drive, snapshot, start, stop)
        first = await anext(pieces)
        _release_in_the_end(request, pieces)
        return StreamingResponse(_after(first, pieces), status, told)
    finally:
        if not passed_on:
            await drive.volume.release(snapshot.handle)


async def _after(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def _asked_part(request: Request, told: dict[str, str], size: int) -> tuple[int, int, int]:
    """Return (status, start, stop) of what is asked of `size` bytes; a range's header is put into `told`."""
    asked = request.headers.get("range")
    if asked and request.headers.get("if-range", told["ETag"]) != told["ETag"]:
        asked = None
    part = parse_range(asked, size)
    if part is None:
        return 200, 0, size
    told["Content-Range"] = part.header
    return 206, part.start, part.stop


def _release_in_the_end(request: Request, pieces: AsyncIterator[bytes]) -> None:
    """Let go of the snapshot when the request ends, also if the sending never began.

    `pieces` must have begun: to close a generator that has not, does nothing.
    """

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
