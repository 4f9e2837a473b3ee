"""revisions.*: the versions of a file, their bytes, which of them are kept forever."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.fields import Selection
from trivet.drive.file_changes import decode_json
from trivet.drive.ordering import parse_page_size, question_mark, read_token, write_token
from trivet.drive.resources import FileView, user_json
from trivet.drive.revisions import KEEP_FOREVER_MAX
from trivet.drive.timestamps import rfc3339
from trivet.errors import Forbidden
from trivet.gateway.bodies import small_body
from trivet.gateway.drive_v3.asking import answer, asked_file, drive_of, selection_of
from trivet.gateway.files.leaving import Outgoing
from trivet.gateway.files.nodes import guess_type, store_metadata
from trivet.gateway.files.old_versions import Revision, find_revision, remove_old, revisions_of
from trivet.gateway.sending import send_file

_NAMES = """
    kind id mimeType modifiedTime keepForever published publishAuto publishedOutsideDomain publishedLink
    lastModifyingUser originalFilename md5Checksum size exportLinks"""
_FIELDS = frozenset(_NAMES.split())
_DEFAULT: Selection = {"kind": {}, "id": {}, "mimeType": {}, "modifiedTime": {}}


class RevisionChanges(msgspec.Struct, frozen=True, rename="camel"):
    """What a revision's update may change."""

    keep_forever: bool | UnsetType = UNSET


def revision_json(view: FileView, one: Revision) -> dict[str, Any]:
    """Return the Revision resource of the version `one` of `view`."""
    data = one.metadata
    mime = (
        view.mime_type if one.name is None else data.mime_type or guess_type(data.original_name or view.name)
    )
    told: dict[str, Any] = {
        "kind": "drive#revision",
        "id": one.id,
        "mimeType": mime,
        "modifiedTime": rfc3339(one.modified_ns),
        "keepForever": data.keep_forever,
        "published": False,
        "lastModifyingUser": user_json(view.owner, view.me),
        "originalFilename": data.original_name or view.name,
        "size": str(one.size),
    }
    sums = data.sums_of(one.size, one.modified_ns)
    return told if sums is None else told | {"md5Checksum": sums.md5}


async def _asked_revision(request: Request, verb: Any = "r") -> tuple[FileView, Revision]:
    view = await asked_file(request, verb)
    if view.is_folder:
        raise Forbidden("The file does not support revisions.")
    return view, await find_revision(drive_of(request), view, request.path_params["revision_id"])


async def list_revisions(request: Request) -> Response:
    """revisions.list, oldest first."""
    view = await asked_file(request)
    if view.is_folder:
        raise Forbidden("The file does not support revisions.")
    drive = drive_of(request)
    size = parse_page_size(request.query_params.get("pageSize"), 200)
    mark = question_mark(drive.secret, view.file_id, "revisions")
    token = request.query_params.get("pageToken")
    found = await revisions_of(drive, view)
    start = 0
    if token:
        (behind,) = read_token(token, mark)
        start = next((at for at, one in enumerate(found) if (one.name or b"~") > behind), len(found))
    page = found[start : start + size]
    told: dict[str, Any] = {"kind": "drive#revisionList"}
    told["revisions"] = [revision_json(view, one) for one in page]
    if start + size < len(found):
        told["nextPageToken"] = write_token(mark, [page[-1].name])
    known = frozenset({"kind", "nextPageToken", "revisions"})
    default = {"kind": {}, "nextPageToken": {}, "revisions": _DEFAULT}
    return answer(selection_of(request, default, known), told)


async def get(request: Request) -> Response:
    """revisions.get: what is known of a version, or with alt=media its bytes."""
    view, one = await _asked_revision(request)
    if request.query_params.get("alt") == "media":
        told = revision_json(view, one)
        out = Outgoing(one.ino, told["originalFilename"], told["mimeType"], one.metadata, view)
        return await send_file(drive_of(request), request, out)
    return answer(selection_of(request, _DEFAULT, _FIELDS), revision_json(view, one))


async def update(request: Request) -> Response:
    """revisions.update: keepForever."""
    view, one = await _asked_revision(request, "w")
    wanted = decode_json(await small_body(request) or b"{}", RevisionChanges)
    drive = drive_of(request)
    if wanted.keep_forever is not UNSET and wanted.keep_forever != one.metadata.keep_forever:
        kept = [other for other in await revisions_of(drive, view) if other.metadata.keep_forever]
        if wanted.keep_forever and len(kept) >= KEEP_FOREVER_MAX:
            raise InvalidParameter(f"at most {KEEP_FOREVER_MAX} revisions are kept forever", "keepForever")
        data = one.metadata.changed(keep_forever=wanted.keep_forever)
        await store_metadata(drive, one.ino, data)
        one = msgspec.structs.replace(one, metadata=data)
    return answer(selection_of(request, _DEFAULT, _FIELDS), revision_json(view, one))


async def delete(request: Request) -> Response:
    """revisions.delete: any but the newest version."""
    view, one = await _asked_revision(request, "w")
    if one.name is None:
        raise InvalidParameter(
            "the newest revision can't be removed", "revisionId", reason="revisionDeletionNotSupported"
        )
    await remove_old(drive_of(request), view.ino, one.name)
    return Response(status_code=204)


_ONE = "/drive/v3/files/{file_id}/revisions/{revision_id}"
ROUTES = [
    Route("/drive/v3/files/{file_id}/revisions", list_revisions, methods=["GET"]),
    Route(_ONE, get, methods=["GET"]),
    Route(_ONE, update, methods=["PATCH"]),
    Route(_ONE, delete, methods=["DELETE"]),
]
