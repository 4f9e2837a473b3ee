"""The bytes of a file as an answer: whole, a range, or only its headers.

Rule: an answer is one version of the file; its ETag is that version.
Rule: a bad file ends before its last byte: with an error while nothing was sent, with a cut behind that.
Source: RFC 9110, sections 13 and 14.
"""

import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from trivet.drive.errors_v3 import faces_of
from trivet.drive.ranges import parse_range
from trivet.drive.rights import Principal
from trivet.errors import BadRange, TrivetError, UsageLimit
from trivet.gateway.files import downloads
from trivet.gateway.files.downloads import Sending
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.hot_files import HotFile
from trivet.gateway.files.leaving import LeavingCheck, Outgoing, Proof, feed_from, judged, whole_proof
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.reading import hold_or_fetch
from trivet.gateway.files.streaming import stream
from trivet.gateway.sessions import principal_of
from trivet.gateway.waypoints import failed, moving, reach
from trivet.volume.interface import Snapshot

#: What is at most sent without streaming.
SMALL_BYTES = 256 << 10

#: What an answer from memory reaches at once.
_AT_ONCE = (
    "queue_start", "queue_end", "transfer_start", "transfer_end", "verify_start", "verify_end", "publish",
)  # fmt: skip

log = logging.getLogger(__name__)


async def send_hot(drive: Drive, request: Request, file_id: str, who: Principal) -> Response | None:
    """Return the answer with a file that this worker has kept and that has not changed; else None."""
    hot = await drive.hot.get(drive.volume, file_id, who)
    if hot is None:
        return None
    told = dict(hot.headers)
    if _is_known(request, told["ETag"]):
        return Response(status_code=304, headers={"ETag": told["ETag"]})
    status, start, stop = _asked_part(request, told, len(hot.data))
    drive.usage.served(who.user, file_id, hot.path, len(hot.data), stop - start)
    moving("cached", small=True)
    reach(*_AT_ONCE)
    vendor = drive.vendors.of(hot.path)
    drive.vendors.served_hot(vendor, hot.ino, stop - start)
    return Response(
        hot.data[start:stop], status, told | drive.vendors.headers(vendor, hot.ino, fetched=False)
    )


async def _held(drive: Drive, out: Outgoing, user: str, *, queue: bool) -> tuple[Snapshot, bool]:
    """Hold `out`, as `hold_or_fetch` does; count what is refused to a user beyond their limit."""
    try:
        return await hold_or_fetch(drive, out.ino, user, queue=queue)
    except UsageLimit:
        drive.vendors.refused(drive.vendors.of(out.view.path))
        raise


async def send_file(
    drive: Drive,
    request: Request,
    out: Outgoing,
    *,
    keep_as: str | None = None,
    download: LiveDownload | None = None,
) -> Response:
    """Return the answer that sends `out`, or the range of it that `request` asks for.

    A small file that is sent whole is kept by this worker under the id `keep_as`. With `download` the request
    is part of that one. Raises UnsupportedType or CorruptContent when the folder's rule is to refuse it.
    """
    moving("download", file=out.view.path)
    reach("queue_start")
    who, queue = principal_of(request.scope).user, "wait=0" not in request.headers.get("prefer", "")
    snapshot, fetched = await _held(drive, out, who, queue=queue)
    passed_on = False
    try:
        proof = await judged(drive, out, snapshot)
        told = answer_headers(snapshot, out, proof)
        if _is_known(request, told["ETag"]):
            return Response(status_code=304, headers={"ETag": told["ETag"]})
        own, vendor = dict(told), drive.vendors.of(out.view.path)
        told |= drive.vendors.headers(vendor, out.ino, fetched=fetched)
        size = snapshot.attributes.size
        status, start, stop = _asked_part(request, told, size)
        if request.method == "HEAD":
            told["Content-Length"] = str(stop - start)
            return Response(status_code=status, headers=told)
        is_part = (start, stop) != (0, size)
        if is_part and proof.rule == "refuse" and not proof.is_known:
            proof = await whole_proof(drive, out, snapshot, proof)
        reach("queue_end")
        drive.vendors.served(vendor, stop - start, small=size <= SMALL_BYTES)
        drive.usage.served(who, out.view.file_id, out.view.path, size, stop - start)
        if stop - start <= SMALL_BYTES and download is None:
            data, now = await _read_small(drive, out, snapshot, proof, start, stop)
            told |= _facts(now)
            if keep_as is not None and status == 200 and now.fault is None:
                drive.hot.keep(
                    keep_as, HotFile(out.ino, snapshot.version, own | _facts(now), data, out.view.path)
                )
            return Response(data, status, told)
        told["Content-Length"] = str(stop - start)
        checked = not is_part or (download is not None and stop == size)
        one = download or await _new_download(drive, request, out, snapshot, is_row=status == 200)
        check = await _check_from(drive, out, snapshot, proof, start) if checked else None
        sending = Sending(drive, one, start)
        await sending.begin()
        if one.kept:
            told["X-Trivet-Transfer"] = one.key
        passed_on = True
        pieces = stream(drive, snapshot, start, stop, proof, check, sending)
        first = await anext(pieces)
        _release_in_the_end(request, pieces)
        return _Streamed(_after(first, pieces), status, told)
    finally:
        if not passed_on:
            await drive.volume.release(snapshot.handle)


async def _read_small(
    drive: Drive, out: Outgoing, snapshot: Snapshot, proof: Proof, start: int, stop: int
) -> tuple[bytes, Proof]:
    """Return the bytes [start, stop), checked if they are all, and what is known of the file then."""
    reach("transfer_start")
    data = await drive.volume.read(snapshot.handle, start, stop - start) if stop > start else b""
    reach("transfer_end", "verify_start")
    if len(data) == snapshot.attributes.size and (proof.sums is not None or not proof.is_known):
        check = LeavingCheck(drive, out, snapshot, proof)
        try:
            await check.feed(data)
            proof = await check.finish()
        finally:
            check.close()
    reach("verify_end", "publish")
    return data, proof


async def _check_from(
    drive: Drive, out: Outgoing, snapshot: Snapshot, proof: Proof, start: int
) -> LeavingCheck | None:
    """Return what checks the whole, fed with what lies before `start`; None if there is nothing to check."""
    if proof.sums is None and proof.is_known:
        return None
    check = LeavingCheck(drive, out, snapshot, proof)
    try:
        await feed_from(drive, snapshot, check, start)
    except BaseException:
        check.close()
        raise
    return check


async def _new_download(
    drive: Drive, request: Request, out: Outgoing, snapshot: Snapshot, *, is_row: bool
) -> LiveDownload:
    size, mtime_ns = snapshot.attributes.size, snapshot.attributes.mtime_ns
    one = downloads.new(principal_of(request.scope).user, downloads.plan_of(out, size, mtime_ns))
    if is_row and size >= downloads.ROW_BYTES:
        await downloads.keep(drive, one)
        moving("download", one.key)
    return one


class _Streamed(StreamingResponse):
    """An answer whose bytes may turn out to be bad on the way; the connection ends then."""

    async def stream_response(self, send: Any) -> None:
        try:
            await super().stream_response(send)
        except TrivetError as error:
            failed(faces_of(error).code)
            log.warning("a download ended before its last byte: %s", error)


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


def answer_headers(snapshot: Snapshot, out: Outgoing, proof: Proof) -> dict[str, str]:
    """Return the headers that every answer with a file's bytes has."""
    return {
        "Content-Type": out.mime_type,
        "ETag": f'"{snapshot.version}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(out.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-cache",
    } | _facts(proof)


def _facts(proof: Proof) -> dict[str, str]:
    """Return the headers that tell what is known of the content."""
    told = {} if proof.sums is None else {"X-Content-SHA256": proof.sums.sha256}
    if proof.fault is not None:
        told["X-Trivet-Fault"] = proof.fault.encode("ascii", "backslashreplace").decode()
    return told


def _is_known(request: Request, etag: str) -> bool:
    known = request.headers.get("if-none-match")
    return known is not None and (known.strip() == "*" or etag in (part.strip() for part in known.split(",")))


def bad_range_headers(error: BadRange) -> dict[str, str]:
    """Return the Content-Range of a 416 answer."""
    return {} if error.size_bytes is None else {"Content-Range": f"bytes */{error.size_bytes}"}
