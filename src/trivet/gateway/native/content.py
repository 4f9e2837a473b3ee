"""/api/v1/files/{id}/content, /content/{path}, /files/{id}/revisions: bytes in and out, and old versions."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import FileChanges, checked
from trivet.drive.names import check_path
from trivet.drive.resources import FileView
from trivet.errors import NotFound, PreconditionFailed
from trivet.gateway.bodies import content_length, streamed
from trivet.gateway.files import changing, nodes
from trivet.gateway.files.leaving import Outgoing, outgoing
from trivet.gateway.files.old_versions import Revision, find_revision, remove_old, revisions_of
from trivet.gateway.files.paths import find_path, while_it_stands
from trivet.gateway.files.reading import hold, read_pieces
from trivet.gateway.files.transfers import UploadPlan
from trivet.gateway.files.uploading import upload_whole
from trivet.gateway.native.files import asked, asked_to_change, check_match, file_answer
from trivet.gateway.native.operations import (
    IF_MATCH,
    IF_NONE_MATCH,
    LOCK,
    OWNER,
    RANGE,
    Operation,
    answer,
    asker,
    drive_of,
    json_body,
    lock_of,
)
from trivet.gateway.native.shapes import File, KeepVersion, Version, Versions, version_of
from trivet.gateway.sending import send_file, send_hot

_ANY = "application/octet-stream"


async def download(request: Request) -> Response:
    """Send the bytes of a file."""
    hot = await send_hot(drive_of(request), request, request.path_params["id"], asker(request))
    return hot or await _send(request, await asked(request))


async def download_path(request: Request) -> Response:
    """Send the bytes of the file at a path."""
    names = check_path(request.path_params["path"])

    async def send() -> Response:
        return await _send(request, await find_path(drive_of(request), names, asker(request)))

    return await while_it_stands(send)


async def _send(request: Request, view: FileView) -> Response:
    if view.is_folder:
        raise InvalidParameter(f"{view.name} is a folder; list its children", "id")
    return await send_file(drive_of(request), request, outgoing(view), keep_as=view.file_id)


async def upload(request: Request) -> Response:
    """Take new content for a file."""
    view = await asked_to_change(request)
    return file_answer(await _replace(request, view))


async def upload_path(request: Request) -> Response:
    """Take a file at a path: new if there is none, else new content for it."""
    names = check_path(request.path_params["path"])
    if not names:
        raise InvalidParameter("the path names no file", "path")
    plan = await while_it_stands(lambda: _plan_at(request, names))

    async def plan_anew() -> UploadPlan:
        nonlocal plan
        plan = await while_it_stands(lambda: _plan_at(request, names))
        return plan

    body, size = streamed(request), content_length(request)
    view = await upload_whole(drive_of(request), asker(request), plan, body, size, plan_anew)
    return file_answer(view, 201 if plan.target is None else 200)


async def _plan_at(request: Request, names: list[str]) -> UploadPlan:
    """Return what an upload to a path becomes as things stand: a new file of that name, or new content."""
    drive, who = drive_of(request), asker(request)
    try:
        view = await find_path(drive, names, who)
    except NotFound:
        if request.headers.get("if-match") is not None:
            raise PreconditionFailed("there is no such file yet") from None
        folder = await find_path(drive, names[:-1], who)
        changes = checked(FileChanges(name=names[-1], parents=[folder.file_id]))
        plan = await changing.new_plan(drive, who, changes, sent_type(request))
        return msgspec.structs.replace(plan, exact=True, hashes=sent_hashes(request))
    if request.headers.get("if-none-match", "").strip() == "*":
        raise PreconditionFailed(f"{view.path} is there already")
    await nodes.check(drive, view, who, "w")
    drive.people.locks.check_write(view.ino, *lock_of(request))
    check_match(request, view.version)
    return await _plan_over(request, view)


async def _replace(request: Request, view: FileView) -> FileView:
    plan = await _plan_over(request, view)
    body, size = streamed(request), content_length(request)
    return await upload_whole(drive_of(request), asker(request), plan, body, size)


async def _plan_over(request: Request, view: FileView) -> UploadPlan:
    if view.is_folder:
        raise InvalidParameter(f"{view.name} is a folder", "id")
    drive = drive_of(request)
    owner, token = lock_of(request)
    return UploadPlan(
        FileChanges(),
        target=view.ino,
        name=view.name,
        path=view.path,
        content_type=sent_type(request),
        expected_version=view.version if "if-match" in request.headers else None,
        lock_owner=owner,
        lock_token=token,
        hashes=sent_hashes(request),
        rule=await nodes.rule_for(drive, view),
    )


def sent_type(request: Request) -> str | None:
    """Return the MIME type that was sent, None if it says nothing."""
    sent = request.headers.get("content-type", _ANY).partition(";")[0].strip().lower()
    return None if sent in {_ANY, "", "application/x-www-form-urlencoded"} else sent


def sent_hashes(request: Request) -> dict[str, str]:
    """Return the checksum that was sent with a body."""
    sent = request.headers.get("x-content-sha256")
    return {} if sent is None else {"sha256": sent.strip().lower()}


async def list_revisions(request: Request) -> Response:
    """List the versions of a file."""
    view = await _file(request)
    return answer(Versions([version_of(one) for one in await revisions_of(drive_of(request), view)]))


async def _file(request: Request, verb: Any = "r") -> FileView:
    view = await asked(request, verb)
    if view.is_folder:
        raise InvalidParameter(f"{view.name} is a folder and has no versions", "id")
    return view


async def _revision(request: Request, view: FileView) -> Revision:
    return await find_revision(drive_of(request), view, request.path_params["revision"])


async def download_revision(request: Request) -> Response:
    """Send the bytes of an old version."""
    view = await _file(request)
    one = await _revision(request, view)
    out = Outgoing(one.ino, view.name, view.mime_type, one.metadata, view)
    return await send_file(drive_of(request), request, out)


async def restore_revision(request: Request) -> Response:
    """Make an old version the newest; what was the newest becomes an old one."""
    view = await asked_to_change(request)
    drive, who = drive_of(request), asker(request)
    one = await _revision(request, view)
    owner, token = lock_of(request)
    plan = UploadPlan(
        FileChanges(), target=view.ino, name=view.name, lock_owner=owner, lock_token=token, rule="off"
    )
    snapshot = await hold(drive, one.ino, who.user)
    size = snapshot.attributes.size
    body = read_pieces(drive, snapshot, 0, size)
    return file_answer(await upload_whole(drive, who, plan, body, size))


async def keep_revision(request: Request) -> Response:
    """Keep a version forever, or no longer."""
    view = await _file(request, "w")
    one = await _revision(request, view)
    wanted = await json_body(request, KeepVersion)
    data = one.metadata.changed(keep_forever=wanted.keep_forever)
    await nodes.store_metadata(drive_of(request), one.ino, data)
    return answer(version_of(msgspec.structs.replace(one, metadata=data)))


async def remove_revision(request: Request) -> Response:
    """Remove an old version."""
    view = await _file(request, "w")
    one = await _revision(request, view)
    if one.name is None:
        raise InvalidParameter("the newest version can't be removed", "revision")
    await remove_old(drive_of(request), view.ino, one.name)
    return Response(status_code=204)


_READ = (IF_NONE_MATCH, RANGE)
_WRITE = (IF_MATCH, OWNER, LOCK)
_REV = "/files/{id}/revisions/{revision}"
OPERATIONS = [
    Operation("GET", "/files/{id}/content", download, "Download a file.", answer_kind=_ANY,
              parameters=_READ, errors=(404, 416)),
    Operation("PUT", "/files/{id}/content", upload, "Upload new content.", File, body_kind=_ANY,
              parameters=_WRITE, errors=(404, 412, 415, 422, 423)),
    Operation("GET", "/content/{path}", download_path, "Download the file at a path.", answer_kind=_ANY,
              parameters=_READ, errors=(404, 416)),
    Operation("PUT", "/content/{path}", upload_path, "Upload a file to a path.", File, 201, body_kind=_ANY,
              parameters=(*_WRITE, IF_NONE_MATCH), errors=(404, 412, 415, 422, 423)),
    Operation("GET", "/files/{id}/revisions", list_revisions, "List the versions.", Versions, errors=(404,)),
    Operation("GET", _REV + "/content", download_revision, "Download a version.", answer_kind=_ANY,
              parameters=_READ, errors=(404, 416)),
    Operation("POST", _REV + "/restore", restore_revision, "Make a version the newest.", File,
              parameters=_WRITE, errors=(404, 412, 423)),
    Operation("PATCH", _REV, keep_revision, "Keep a version forever.", Version, body=KeepVersion,
              errors=(404,)),
    Operation("DELETE", _REV, remove_revision, "Remove an old version.", status=204, errors=(404,)),
]  # fmt: skip
