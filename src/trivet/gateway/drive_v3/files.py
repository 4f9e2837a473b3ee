"""files.*: create, get, list, update, delete, copy, generateIds, export, emptyTrash (uploads stand apart)."""

from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive import ordering
from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.fields import Selection
from trivet.drive.file_changes import FileChanges, decode_changes
from trivet.drive.query import parse_query
from trivet.drive.query_match import uses
from trivet.drive.resources import FileView
from trivet.errors import FileSystemError, NotExportable, NotFound, Unsupported
from trivet.gateway.bodies import small_body
from trivet.gateway.drive_v3.asking import (
    answer,
    asked_file,
    asker,
    drive_of,
    file_answer,
    file_told,
    lock_of,
    refuse_drive_id,
    selection_of,
)
from trivet.gateway.files import changing, generated_ids, removal
from trivet.gateway.files.leaving import outgoing
from trivet.gateway.files.searching import Search, check_place, search
from trivet.gateway.files.uploading import upload_whole
from trivet.gateway.sending import send_file, send_hot

_LIST_FIELDS = frozenset({"kind", "incompleteSearch", "nextPageToken", "files"})
_LIST_DEFAULT: Selection = {
    "kind": {},
    "incompleteSearch": {},
    "nextPageToken": {},
    "files": {"kind": {}, "id": {}, "name": {}, "mimeType": {}},
}
_SPACES = {"drive", "appDataFolder"}


async def create(request: Request) -> Response:
    """files.create without content: a folder, or an empty file."""
    drive, who = drive_of(request), asker(request)
    changes = decode_changes(await small_body(request))
    if changes.makes_folder:
        return await file_answer(request, await changing.create_folder(drive, who, changes))
    plan = await changing.new_plan(drive, who, changes, None)
    return await file_answer(request, await upload_whole(drive, who, plan, _nothing(), 0))


async def _nothing() -> AsyncIterator[bytes]:
    for data in list[bytes]():
        yield data


async def get(request: Request) -> Response:
    """files.get: what is known of a file, or with alt=media its bytes."""
    alt = request.query_params.get("alt", "json")
    if alt == "media":
        hot = await send_hot(drive_of(request), request, request.path_params["file_id"], asker(request))
        if hot is not None:
            return hot
    view = await asked_file(request)
    if alt == "json":
        return await file_answer(request, view)
    if alt != "media":
        raise InvalidParameter(f"Invalid value for alt: {alt[:40]!r}", "alt")
    if view.is_folder:
        raise InvalidParameter(
            "Only files with binary content can be downloaded.", "alt", reason="fileNotDownloadable"
        )
    return await send_file(drive_of(request), request, outgoing(view), keep_as=view.file_id)


async def list_files(request: Request) -> Response:
    """files.list."""
    sent = request.query_params
    order = ordering.parse_order(sent.get("orderBy"))
    size = ordering.parse_page_size(sent.get("pageSize"))
    tree = parse_query(sent.get("q"))
    if uses(tree, "fullText"):
        raise Unsupported("fullText searches are not answered yet; search by name")
    spaces = [one for one in sent.get("spaces", "drive").split(",") if one]
    if not set(spaces) <= _SPACES:
        raise InvalidParameter("Invalid Value: spaces are drive and appDataFolder", "spaces")
    if sent.get("corpora", "user") not in {"user", "allDrives", "domain", ""}:
        refuse_drive_id(sent.get("driveId", ""))
    chosen = selection_of(request, _LIST_DEFAULT, _LIST_FIELDS)
    drive, who = drive_of(request), asker(request)
    mark = ordering.question_mark(drive.secret, who.user, sent.get("q"), sent.get("orderBy"), *spaces)
    token = sent.get("pageToken")
    after = check_place(ordering.read_token(token, mark) if token else None, order)
    found: list[FileView] = []
    wanted: Selection = chosen.get("files", chosen.get("*", {})) or {"*": {}}
    if "drive" in spaces:
        tells_version = bool({"version", "*"} & set(wanted))
        found, after = await search(drive, Search(who, tree, order, tells_version), after, size)
    told: dict[str, Any] = {"kind": "drive#fileList", "incompleteSearch": False}
    told["files"] = [await file_told(request, view, wanted) for view in found]
    if after is not None:
        told["nextPageToken"] = ordering.write_token(mark, after)
    return answer(chosen, told)


async def update(request: Request) -> Response:
    """files.update of what is known of a file; its content comes by way of uploads."""
    view = await asked_file(request, "w")
    changes = decode_changes(await small_body(request))
    view = await change_asked(request, view, changes)
    return await file_answer(request, view)


async def change_asked(request: Request, view: FileView, changes: FileChanges) -> FileView:
    """Apply `changes`, and the addParents and removeParents of `request`, to `view`."""
    drive, who, sent = drive_of(request), asker(request), request.query_params
    owner, token = lock_of(request)
    drive.people.locks.check_write(view.ino, owner, token)
    removed = [one.strip() for one in sent.get("removeParents", "").split(",") if one.strip()]
    return await changing.change(drive, who, view, changes, sent.get("addParents") or None, removed)


async def delete(request: Request) -> Response:
    """files.delete: for good, past the trash."""
    view = await asked_file(request, "w")
    owner, token = lock_of(request)
    drive_of(request).people.locks.check_write(view.ino, owner, token)
    try:
        await removal.remove(drive_of(request), view)
    except FileSystemError as error:
        raise NotFound(f"File not found: {view.file_id}.") from error
    return Response(status_code=204)


async def copy(request: Request) -> Response:
    """files.copy."""
    view = await asked_file(request)
    changes = decode_changes(await small_body(request))
    return await file_answer(request, await changing.copy(drive_of(request), asker(request), view, changes))


async def generate_ids(request: Request) -> Response:
    """files.generateIds."""
    count = ordering.parse_page_size(request.query_params.get("count"), 10)
    ids = await generated_ids.generate(drive_of(request), asker(request).user, count)
    told = {"kind": "drive#generatedIds", "space": request.query_params.get("space", "drive"), "ids": ids}
    return answer(selection_of(request, {}, frozenset({"kind", "space", "ids"})), told)


async def export(request: Request) -> Response:
    """files.export: only for documents of Google's own editors, which there are none of."""
    await asked_file(request)
    if not request.query_params.get("mimeType"):
        raise InvalidParameter("Required parameter: mimeType", "mimeType", reason="required")
    raise NotExportable("Export only supports Docs Editors files; download it with alt=media")


async def empty_trash(request: Request) -> Response:
    """files.emptyTrash."""
    await removal.empty_trash(drive_of(request), asker(request))
    return Response(status_code=204)


async def watch(request: Request) -> Response:
    """files.watch, changes.watch, channels.stop: push is not there; changes.list is."""
    asker(request)
    raise Unsupported("push notifications are not served; poll changes.list instead")


ROUTES = [
    Route("/drive/v3/files", list_files, methods=["GET"]),
    Route("/drive/v3/files", create, methods=["POST"]),
    Route("/drive/v3/files/generateIds", generate_ids, methods=["GET"]),
    Route("/drive/v3/files/trash", empty_trash, methods=["DELETE"]),
    Route("/drive/v3/files/{file_id}", get, methods=["GET"]),
    Route("/drive/v3/files/{file_id}", update, methods=["PATCH", "PUT"]),
    Route("/drive/v3/files/{file_id}", delete, methods=["DELETE"]),
    Route("/drive/v3/files/{file_id}/copy", copy, methods=["POST"]),
    Route("/drive/v3/files/{file_id}/export", export, methods=["GET"]),
    Route("/drive/v3/files/{file_id}/watch", watch, methods=["POST"]),
    Route("/drive/v3/changes/watch", watch, methods=["POST"]),
    Route("/drive/v3/channels/stop", watch, methods=["POST"]),
]
