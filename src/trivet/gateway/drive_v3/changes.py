"""changes.*: what happened since a page token; the volume's own slots are the tokens.

Rule: a change is told once, at its newest; what stands in the door's private places is told to nobody, but
for the trash.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.fields import Selection
from trivet.drive.ordering import parse_page_size
from trivet.drive.resources import FileView
from trivet.drive.rights import Principal
from trivet.drive.timestamps import rfc3339
from trivet.errors import FileSystemError, NotFound
from trivet.gateway.drive_v3.asking import answer, asker, drive_of, file_told, flag, selection_of
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.io.clock import wall_s
from trivet.volume.interface import PRIVATE_INO, Change

_FIELDS = frozenset({"kind", "nextPageToken", "newStartPageToken", "changes"})
_DEFAULT: Selection = {
    "kind": {},
    "nextPageToken": {},
    "newStartPageToken": {},
    "changes": {
        **{name: {} for name in ("kind", "type", "changeType", "time", "removed", "fileId")},
        "file": {"kind": {}, "id": {}, "name": {}, "mimeType": {}},
    },
}


async def start_token(request: Request) -> Response:
    """changes.getStartPageToken."""
    asker(request)
    slot = await drive_of(request).volume.newest_slot()
    told = {"kind": "drive#startPageToken", "startPageToken": str(slot)}
    return answer(selection_of(request, {}, frozenset(told)), told)


async def list_changes(request: Request) -> Response:
    """changes.list."""
    drive, who = drive_of(request), asker(request)
    token = request.query_params.get("pageToken")
    if token is None:
        raise InvalidParameter("Required parameter: pageToken", "pageToken", reason="required")
    if not (token.isascii() and token.isdecimal() and len(token) < 19):
        raise InvalidParameter("Invalid Value: pageToken is not one of changes", "pageToken")
    chosen = selection_of(request, _DEFAULT, _FIELDS)
    with_removed = flag(request, "includeRemoved", True)
    of_file = chosen.get("changes", {}).get("file", {}) or {"*": {}}
    size = parse_page_size(request.query_params.get("pageSize"))
    found, next_slot = await drive.volume.changes(int(token), size)
    told: list[dict[str, Any]] = []
    for change in found:
        view = await seen(drive, change, who)
        if view is None and (not change.removed or not with_removed):
            continue
        item = _change(change, view)
        if view is not None:
            item["file"] = await file_told(request, view, of_file)
        told.append(item)
    end = "nextPageToken" if found else "newStartPageToken"
    if found and len(found) < size:
        end = "newStartPageToken"
    return answer(chosen, {"kind": "drive#changeList", "changes": told, end: str(next_slot)})


async def seen(drive: Drive, change: Change, who: Principal) -> FileView | None:
    """Return the file that changed, None if it is gone or nothing that `who` is told of."""
    if change.removed or change.ino in {PRIVATE_INO, drive.uploads_ino, drive.trash_ino, drive.revisions_ino}:
        return None
    try:
        view = await nodes.look(drive, change.ino, who.user)
        await nodes.check(drive, view, who, "r")
    except (NotFound, FileSystemError):
        return None
    return view


def _change(change: Change, view: FileView | None) -> dict[str, Any]:
    return {
        "kind": "drive#change",
        "type": "file",
        "changeType": "file",
        "time": rfc3339(int(wall_s() * 10**9) if view is None else view.modified_ns),
        "removed": view is None,
        "fileId": str(change.ino) if view is None else view.file_id,
    }


ROUTES = [
    Route("/drive/v3/changes/startPageToken", start_token, methods=["GET"]),
    Route("/drive/v3/changes", list_changes, methods=["GET"]),
]
