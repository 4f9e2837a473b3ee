"""permissions.*: who else may see or change a file, and everything below a folder."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.fields import Selection
from trivet.drive.file_changes import decode_json
from trivet.drive.file_metadata import Permission
from trivet.drive.resources import FileView, address, owner_permission, permission_id, permission_json
from trivet.errors import Forbidden, NotFound
from trivet.gateway.bodies import small_body
from trivet.gateway.drive_v3.asking import answer, asked_file, drive_of, selection_of
from trivet.gateway.files.nodes import store_metadata

ROLES = frozenset({"reader", "commenter", "writer", "fileOrganizer", "organizer"})
TYPES = frozenset({"user", "group", "domain", "anyone"})
PER_FILE_MAX = 100
_NAMES = """
    kind id type role emailAddress domain displayName photoLink allowFileDiscovery expirationTime deleted
    pendingOwner view permissionDetails teamDrivePermissionDetails inheritedPermissionsDisabled"""
_FIELDS = frozenset(_NAMES.split())
_DEFAULT: Selection = {"kind": {}, "id": {}, "type": {}, "role": {}}


class PermissionBody(msgspec.Struct, frozen=True, rename="camel"):
    """What is sent of a permission."""

    type: str = ""
    role: str = ""
    email_address: str = ""
    domain: str = ""


async def _sent(request: Request) -> PermissionBody:
    body = decode_json(await small_body(request) or b"{}", PermissionBody)
    if body.role == "owner":
        raise Forbidden("ownership can't be given away")
    if body.role not in ROLES:
        raise InvalidParameter("The permission role field is required.", "permission.role", reason="required")
    return body


async def create(request: Request) -> Response:
    """permissions.create; one for the same person again changes the first."""
    view = await asked_file(request, "w")
    body = await _sent(request)
    if body.type not in TYPES:
        raise InvalidParameter("The permission type field is required.", "permission.type", reason="required")
    who = body.domain if body.type == "domain" else body.email_address
    if body.type != "anyone" and not who:
        where = "permission.domain" if body.type == "domain" else "permission.emailAddress"
        raise InvalidParameter(f"{where} is required for the type {body.type}", where, reason="required")
    if body.type == "user" and address(who) == address(view.owner):
        return answer(_chosen(request), permission_json(owner_permission(view.owner), view.me))
    who = "" if body.type == "anyone" else who if body.type == "domain" else address(who)
    made = Permission(permission_id(body.type, who), body.type, body.role, who)
    others = [one for one in view.metadata.permissions if one.id != made.id]
    if len(others) >= PER_FILE_MAX:
        raise InvalidParameter(f"a file has at most {PER_FILE_MAX} permissions", "permission")
    await _keep(request, view, [*others, made])
    return answer(_chosen(request), permission_json(made, view.me))


async def _keep(request: Request, view: FileView, permissions: list[Permission]) -> None:
    await store_metadata(drive_of(request), view.ino, view.metadata.changed(permissions=permissions))


def _chosen(request: Request) -> Selection:
    return selection_of(request, _DEFAULT, _FIELDS)


async def _asked(request: Request, verb: Any = "r") -> tuple[FileView, Permission]:
    view = await asked_file(request, verb)
    wanted = request.path_params["permission_id"]
    for one in [owner_permission(view.owner), *view.metadata.permissions]:
        if one.id == wanted:
            return view, one
    raise NotFound(f"Permission not found: {wanted[:80]}.")


async def get(request: Request) -> Response:
    """permissions.get."""
    view, one = await _asked(request)
    return answer(_chosen(request), permission_json(one, view.me))


async def list_permissions(request: Request) -> Response:
    """permissions.list."""
    view = await asked_file(request)
    found = [owner_permission(view.owner), *view.metadata.permissions]
    told = {"kind": "drive#permissionList", "permissions": [permission_json(one, view.me) for one in found]}
    default = {"kind": {}, "nextPageToken": {}, "permissions": _DEFAULT}
    known = frozenset({"kind", "nextPageToken", "permissions"})
    return answer(selection_of(request, default, known), told)


async def update(request: Request) -> Response:
    """permissions.update: the role."""
    view, one = await _asked(request, "w")
    body = await _sent(request)
    _refuse_owner(one)
    changed = msgspec.structs.replace(one, role=body.role)
    await _keep(
        request, view, [changed if other.id == one.id else other for other in view.metadata.permissions]
    )
    return answer(_chosen(request), permission_json(changed, view.me))


async def delete(request: Request) -> Response:
    """permissions.delete."""
    view, one = await _asked(request, "w")
    _refuse_owner(one)
    await _keep(request, view, [other for other in view.metadata.permissions if other.id != one.id])
    return Response(status_code=204)


def _refuse_owner(one: Permission) -> None:
    if one.role == "owner":
        raise Forbidden("the owner's permission stays as it is")


_ONE = "/drive/v3/files/{file_id}/permissions/{permission_id}"
ROUTES = [
    Route("/drive/v3/files/{file_id}/permissions", list_permissions, methods=["GET"]),
    Route("/drive/v3/files/{file_id}/permissions", create, methods=["POST"]),
    Route(_ONE, get, methods=["GET"]),
    Route(_ONE, update, methods=["PATCH"]),
    Route(_ONE, delete, methods=["DELETE"]),
]
