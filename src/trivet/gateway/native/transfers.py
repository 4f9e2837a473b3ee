"""/api/v1/transfers: uploads and downloads with a key, that go on where they were cut, in any worker.

Rule: the exchange is Drive's: PUT a chunk with Content-Range, 308 with Range says what is held.
"""

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import FileChanges, checked
from trivet.drive.names import check_path
from trivet.drive.uploads import held_range
from trivet.errors import NotFound
from trivet.gateway.bodies import content_length, streamed
from trivet.gateway.files import changing, downloads, nodes, transfers, uploading
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.transfers import Transfer, UploadPlan
from trivet.gateway.native import vendors
from trivet.gateway.native.downloads import (
    begin_download,
    cancel_download,
    is_download,
    resume_download,
    send_download,
    tell_download,
)
from trivet.gateway.native.files import check_match, file_answer
from trivet.gateway.native.operations import (
    IF_MATCH,
    IF_NONE_MATCH,
    LOCK,
    OWNER,
    RANGE,
    Operation,
    Parameter,
    answer,
    asker,
    drive_of,
    json_body,
    lock_of,
    number,
)
from trivet.gateway.native.shapes import File, Held, NewTransfer, Transfers, TransferTold, transfer_told
from trivet.gateway.waypoints import moving

_ANY = "application/octet-stream"


async def begin(request: Request) -> Response:
    """Begin an upload, or a download."""
    wanted = await json_body(request, NewTransfer)
    if wanted.direction == "download":
        return await begin_download(request, wanted)
    plan = msgspec.structs.replace(await _plan(request, wanted), hashes={**wanted.checksums})
    made = await transfers.begin(drive_of(request), asker(request).user, plan, wanted.size)
    moving("upload", made.key)
    told = transfer_told(made)
    return answer(told, 201, {"Location": told.location})


async def _plan(request: Request, wanted: NewTransfer) -> UploadPlan:
    drive, who = drive_of(request), asker(request)
    target, name, parent = wanted.target, wanted.name, wanted.parent
    if wanted.path is not UNSET:
        names = check_path(wanted.path)
        if not names:
            raise InvalidParameter("the path names no file", "path")
        try:
            target = (await find_path(drive, names, who)).file_id
        except NotFound:
            folder = await changing.make_folders(drive, who, names[:-1])
            name, parent = names[-1], folder.file_id
    if target is UNSET:
        if name is UNSET:
            raise InvalidParameter("an upload needs a name, a path or a target", "name")
        changes = checked(FileChanges(name=name, parents=[parent], modified_time=wanted.modified_at))
        return await changing.new_plan(drive, who, changes, wanted.mime_type)
    view = await nodes.find(drive, target, who, "w")
    if view.is_folder:
        raise InvalidParameter(f"{view.name} is a folder", "target")
    owner, token = lock_of(request)
    drive.people.locks.check_write(view.ino, owner, token)
    check_match(request, view.version)
    return UploadPlan(
        checked(FileChanges(modified_time=wanted.modified_at)),
        target=view.ino,
        name=view.name,
        path=view.path,
        content_type=wanted.mime_type,
        expected_version=view.version if "if-match" in request.headers else None,
        lock_owner=owner,
        lock_token=token,
        rule=await nodes.rule_for(drive, view),
    )


async def _asked(request: Request) -> Transfer:
    found = await transfers.get(drive_of(request), request.path_params["key"])
    uploading.check_owner(found, asker(request))
    return found


async def tell(request: Request) -> Response:
    """Tell how a transfer stands."""
    if is_download(request):
        return await tell_download(request)
    if vendors.is_vendors(request):
        return await vendors.steer(request, "tell")
    return _told(await _asked(request))


def _told(found: Transfer) -> Response:
    known = held_range(found.held)
    return answer(transfer_told(found), 200, {} if known is None else {"Range": known})


async def resume(request: Request) -> Response:
    """Make ready to go on with a parked transfer; the offset is what is verified to be held."""
    if is_download(request):
        return await resume_download(request)
    if vendors.is_vendors(request):
        return await vendors.steer(request, "resume")
    found = await _asked(request)
    drive = drive_of(request)
    if found.state not in {"committed", "rolled back"}:
        found = await uploading.verified(drive, found, asker(request))
    return _told(found)


async def send(request: Request) -> Response:
    """Take a chunk; 308 until the file is whole."""
    drive, who = drive_of(request), asker(request)
    said = request.headers.get("content-range")
    done = await uploading.take_request(
        drive, who, request.path_params["key"], said, content_length(request), streamed(request)
    )
    if done.view is not None:
        return file_answer(done.view)
    known = held_range(done.held)
    return Response(status_code=308, headers={} if known is None else {"Range": known})


async def cancel(request: Request) -> Response:
    """Cancel a transfer; nothing of it stays."""
    if is_download(request):
        return await cancel_download(request)
    if vendors.is_vendors(request):
        return await vendors.steer(request, "cancel")
    found = await _asked(request)
    await uploading.cancel(drive_of(request), found)
    return Response(status_code=204)


async def list_transfers(request: Request) -> Response:
    """List your transfers."""
    limit, drive, user = number(request, "limit", 100, 1, 1000), drive_of(request), asker(request).user
    found: list[Transfer | LiveDownload] = [*await transfers.newest(drive, user, limit)]
    found += await downloads.newest(drive, user, limit)
    found.sort(key=lambda one: -one.touched_at)
    return answer(Transfers([transfer_told(one) for one in found[:limit]]))


_RANGE = Parameter("Content-Range", "header", "bytes FIRST-LAST/TOTAL, or bytes */TOTAL to ask.")
_LIMIT = Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000})
OPERATIONS = [
    Operation("GET", "/transfers", list_transfers, "List your transfers.", Transfers, parameters=(_LIMIT,)),
    Operation("POST", "/transfers", begin, "Begin a transfer.", TransferTold, 201, body=NewTransfer,
              parameters=(IF_MATCH, OWNER, LOCK), errors=(404, 412, 423)),
    Operation("GET", "/transfers/{key}", tell, "Tell how a transfer stands.", TransferTold,
              errors=(404, 410)),
    Operation("PUT", "/transfers/{key}", send, "Send a chunk (308 until it is whole).", File, body_kind=_ANY,
              parameters=(_RANGE,), errors=(308, 404, 410, 412, 415, 422, 423)),
    Operation("POST", "/transfers/{key}/resume", resume, "Make ready to go on.", TransferTold,
              body=Held, body_required=False, errors=(404, 409, 410)),
    Operation("DELETE", "/transfers/{key}", cancel, "Cancel a transfer.", status=204,
              errors=(404, 409, 410)),
    Operation("GET", "/transfers/{key}/content", send_download, "Get a download's bytes.",
              answer_kind=_ANY, parameters=(IF_NONE_MATCH, RANGE), errors=(404, 410, 415, 416, 422)),
]  # fmt: skip
