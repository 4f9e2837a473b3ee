"""/upload/drive/v3: content in one request (media, multipart) and resumable uploads.

Rule: a chunk's body needs no Content-Length; nothing is held of it but a piece.
Source: the published protocol's page "Upload file data".
"""

from collections.abc import AsyncIterable, AsyncIterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import FileChanges, decode_changes
from trivet.drive.multipart import Event, MultipartParser, PartBegun, PartData, boundary_of
from trivet.drive.uploads import held_range
from trivet.errors import PayloadTooLarge, RequestError
from trivet.gateway.bodies import JSON_MAX_BYTES, content_length, small_body, streamed
from trivet.gateway.drive_v3.asking import (
    asked_file,
    asker,
    drive_of,
    expected_version,
    file_answer,
    link_root,
    lock_of,
)
from trivet.gateway.drive_v3.files import change_asked, create, update
from trivet.gateway.files import changing, nodes, transfers, uploading
from trivet.gateway.files.transfers import UploadPlan

#: The MIME type of clients that know none; the name says more.
_SAYS_NOTHING = "application/octet-stream"


async def upload(request: Request) -> Response:
    """POST, PATCH or PUT to an upload address: begin or go on with an upload, or take it whole."""
    asker(request)
    if "upload_id" in request.query_params:
        return await go_on(request)
    kind = request.query_params.get("uploadType")
    if kind == "resumable":
        return await begin(request)
    if kind == "multipart":
        return await _multipart(request)
    if kind == "media" or (kind is None and request.headers.get("content-type")):
        mime = request.headers.get("content-type")
        plan = await plan_of(request, FileChanges(), mime)
        return await _take_whole(request, plan, streamed(request), content_length(request))
    if kind is None:
        return await (update if "file_id" in request.path_params else create)(request)
    raise InvalidParameter(f"Invalid value for uploadType: {kind[:40]!r}", "uploadType")


async def plan_of(request: Request, changes: FileChanges, content_type: str | None) -> UploadPlan:
    """Return what an upload to this address is to become; what is only described is changed at once."""
    drive, who = drive_of(request), asker(request)
    if content_type is not None and content_type.startswith(_SAYS_NOTHING):
        content_type = None
    if "file_id" not in request.path_params:
        return await changing.new_plan(drive, who, changes, content_type)
    view = await asked_file(request, "w")
    if view.is_folder:
        raise InvalidParameter("a folder has no content", "fileId")
    owner, token = lock_of(request)
    drive.people.locks.check_write(view.ino, owner, token)
    view = await change_asked(request, view, _moves(changes))
    name = view.name
    return UploadPlan(
        changes,
        target=view.ino,
        name=name,
        path=view.path,
        content_type=content_type,
        expected_version=expected_version(request),
        lock_owner=owner,
        lock_token=token,
        rule=await nodes.rule_for(drive, view),
    )


def _moves(changes: FileChanges) -> FileChanges:
    """Return that part of `changes` that is not kept with the content."""
    return FileChanges(name=changes.name, trashed=changes.trashed)


async def _take_whole(
    request: Request, plan: UploadPlan, body: AsyncIterable[bytes], size: int | None
) -> Response:
    view = await uploading.upload_whole(drive_of(request), asker(request), plan, body, size)
    return await file_answer(request, view)


async def _multipart(request: Request) -> Response:
    """Take metadata and content out of one multipart/related body, as it streams in."""
    parts = _Parts(streamed(request), boundary_of(request.headers.get("content-type", "")))
    head = await parts.next_part()
    if head is None:
        raise RequestError("the multipart body has no part with the metadata")
    changes = decode_changes(await parts.small())
    head = await parts.next_part()
    if head is None:
        raise RequestError("the multipart body has no part with the content")
    plan = await plan_of(request, changes, head.get("content-type"))
    return await _take_whole(request, plan, parts.rest(), None)


class _Parts:
    """The parts of a body with `boundary`, one after the other."""

    def __init__(self, body: AsyncIterator[bytes], boundary: bytes) -> None:
        self._parser = MultipartParser(boundary)
        self._events = self._read(body)

    async def _read(self, body: AsyncIterator[bytes]) -> AsyncIterator[Event]:
        async for data in body:
            for event in self._parser.feed(data):
                yield event
        self._parser.close()

    async def next_part(self) -> dict[str, str] | None:
        """Return the headers of the next part, None behind the last."""
        async for event in self._events:
            if isinstance(event, PartBegun):
                return event.headers
        return None

    async def small(self) -> bytes:
        """Return what this part holds, which is not much."""
        found = b""
        async for data in self.rest(whole=False):
            found += data
            if len(found) > JSON_MAX_BYTES:
                raise PayloadTooLarge(f"metadata may have at most {JSON_MAX_BYTES:,} bytes")
        return found

    async def rest(self, *, whole: bool = True) -> AsyncIterator[bytes]:
        """Yield what this part holds; with `whole` go on to the end of the body, which must be there."""
        async for event in self._events:
            if isinstance(event, PartData):
                yield event.data
            else:
                break
        if whole:
            async for event in self._events:
                if isinstance(event, PartBegun):
                    raise RequestError("the multipart body has more than two parts")


async def begin(request: Request) -> Response:
    """Begin a resumable upload; its address comes in Location."""
    changes = decode_changes(await small_body(request))
    mime = request.headers.get("x-upload-content-type")
    plan = await plan_of(request, changes, mime)
    size = request.headers.get("x-upload-content-length")
    if size is not None and not (size.isascii() and size.isdecimal() and len(size) < 19):
        raise InvalidParameter("X-Upload-Content-Length is a number of bytes", "X-Upload-Content-Length")
    total = None if size is None else int(size)
    made = await transfers.begin(drive_of(request), asker(request).user, plan, total)
    query = f"uploadType=resumable&upload_id={made.key}"
    fields = request.query_params.get("fields")
    where = f"{link_root(request)}{request.url.path}?{query}"
    if fields:
        where += f"&fields={quote(fields)}"
    return Response(headers={"Location": where, "X-GUploader-UploadID": made.key})


async def go_on(request: Request) -> Response:
    """Take a chunk, answer how far the upload is, or cancel it."""
    drive, who = drive_of(request), asker(request)
    key = request.query_params["upload_id"]
    if request.method == "DELETE":
        return await cancel(request, key)
    said = request.headers.get("content-range")
    done = await uploading.take_request(drive, who, key, said, content_length(request), streamed(request))
    if done.view is not None:
        return await file_answer(request, done.view)
    return not_whole(done.held)


def not_whole(held: int) -> Response:
    """Return the 308 that says how many bytes are held."""
    known = held_range(held)
    return Response(status_code=308, headers={} if known is None else {"Range": known})


async def cancel(request: Request, key: str) -> Response:
    """Cancel an upload; nothing of it stays."""
    drive = drive_of(request)
    found = await transfers.get(drive, key)
    uploading.check_owner(found, asker(request))
    await uploading.cancel(drive, found)
    return Response(status_code=499)


ROUTES = [
    Route("/upload/drive/v3/files", upload, methods=["POST", "PUT", "DELETE"]),
    Route("/upload/drive/v3/files/{file_id}", upload, methods=["POST", "PATCH", "PUT", "DELETE"]),
    Route("/resumable/upload/drive/v3/files", upload, methods=["POST", "PUT", "DELETE"]),
    Route("/resumable/upload/drive/v3/files/{file_id}", upload, methods=["POST", "PATCH", "PUT", "DELETE"]),
]
