"""about.get and drives.*: who asks, how much room there is; there are no shared drives."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.ordering import parse_page_size
from trivet.drive.resources import user_json
from trivet.errors import Unsupported
from trivet.gateway.drive_v3.asking import answer, asker, drive_of, refuse_drive_id, selection_of
from trivet.gateway.files.uploading import FILE_MAX_BYTES

_NAMES = """
    kind user storageQuota importFormats exportFormats maxImportSizes maxUploadSize appInstalled
    folderColorPalette driveThemes teamDriveThemes canCreateDrives canCreateTeamDrives"""
_FIELDS = frozenset(_NAMES.split())


async def about(request: Request) -> Response:
    """about.get; `fields` must be sent."""
    who = asker(request)
    if not request.query_params.get("fields"):
        raise InvalidParameter(
            "The 'fields' parameter is required for this method.", "fields", reason="required"
        )
    space = await drive_of(request).volume.statfs()
    used = str(space.total_bytes - space.free_bytes)
    told = {
        "kind": "drive#about",
        "user": user_json(who.user, who.user),
        "storageQuota": {
            "limit": str(space.total_bytes),
            "usage": used,
            "usageInDrive": used,
            "usageInDriveTrash": "0",
        },
        "importFormats": {},
        "exportFormats": {},
        "maxImportSizes": {},
        "maxUploadSize": str(FILE_MAX_BYTES),
        "appInstalled": False,
        "folderColorPalette": [],
        "driveThemes": [],
        "canCreateDrives": False,
    }
    return answer(selection_of(request, {}, _FIELDS), told)


async def list_drives(request: Request) -> Response:
    """drives.list: none."""
    asker(request)
    parse_page_size(request.query_params.get("pageSize"), 10)
    return answer(selection_of(request, {}, frozenset({"kind", "nextPageToken", "drives"})),
                  {"kind": "drive#driveList", "drives": []})  # fmt: skip


async def get_drive(request: Request) -> Response:
    """drives.get: there is no such."""
    asker(request)
    refuse_drive_id(request.path_params["drive_id"])
    raise AssertionError("refused above")


async def change_drive(request: Request) -> Response:
    """drives.create, update, delete, hide: not served."""
    asker(request)
    raise Unsupported("shared drives can't be made or changed here")


ROUTES = [
    Route("/drive/v3/about", about, methods=["GET"]),
    Route("/drive/v3/drives", list_drives, methods=["GET"]),
    Route("/drive/v3/drives", change_drive, methods=["POST"]),
    Route("/drive/v3/drives/{drive_id}", get_drive, methods=["GET"]),
    Route("/drive/v3/drives/{drive_id:path}", change_drive, methods=["POST", "PATCH", "DELETE"]),
]
