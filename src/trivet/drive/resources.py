"""The File resource: what the drive knows of a file or folder, and the JSON the protocol makes of it.

Rule: 64-bit integers are strings; checksums, sizes and revisions are for files alone, folders have none.
Rule: an id is the decimal inode number, or the id that was generated beforehand and used at creation.
Source: the published protocol's reference of `files`.
"""

from dataclasses import dataclass
from typing import Any

from trivet.drive.fields import Selection
from trivet.drive.file_metadata import FileMetadata, Permission, Sums
from trivet.drive.timestamps import rfc3339

FOLDER_MIME = "application/vnd.google-apps.folder"
BINARY_MIME = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class FileView:
    """A file or folder as both faces show it; `path` is by the names in the mount, from the volume's root."""

    ino: int
    file_id: str
    name: str
    mount_name: str
    path: str
    is_folder: bool
    mime_type: str
    size: int
    created_ns: int
    modified_ns: int
    version: int
    parent_id: str | None
    trashed: bool
    explicitly_trashed: bool
    metadata: FileMetadata
    owner: str
    me: str
    head_revision: str

    @property
    def sums(self) -> Sums | None:
        """Its checksums, if they are known of the bytes as they are."""
        return self.metadata.sums_of(self.size, self.modified_ns)

    @property
    def fault(self) -> str | None:
        """What the check of its bytes, as they are, found wrong with them."""
        known = self.metadata.content_at(self.size, self.modified_ns)
        return self.metadata.fault if known else None

    @property
    def extension(self) -> str:
        """What stands behind the last dot of its name."""
        stem, dot, ending = self.name.rpartition(".")
        return ending if dot and stem and len(ending) <= 16 else ""


def user_json(name: str, me: str) -> dict[str, Any]:
    """Return the User resource of the account `name`."""
    told: dict[str, Any] = {"kind": "drive#user", "displayName": name, "me": name == me}
    return told | {"permissionId": permission_id("user", name), "emailAddress": address(name)}


def address(name: str) -> str:
    """Return the e-mail address that stands for the account `name`: itself if it is one."""
    return name if "@" in name else f"{name}@trivet.local"


def permission_id(kind: str, who: str) -> str:
    """Return the stable id of what `who` (of `kind` user, group, domain, anyone) may do."""
    return "anyoneWithLink" if kind == "anyone" else f"{kind}-{address(who) if kind != 'domain' else who}"


def permission_json(permission: Permission, me: str) -> dict[str, Any]:
    """Return the Permission resource of `permission`."""
    told: dict[str, Any] = {
        "kind": "drive#permission",
        "id": permission.id,
        "type": permission.type,
        "role": permission.role,
    }
    if permission.type in {"user", "group"}:
        told |= {"emailAddress": permission.address, "displayName": permission.address.partition("@")[0]}
        told |= {"deleted": False, "pendingOwner": False}
    if permission.type == "domain":
        told["domain"] = permission.address
    if permission.type in {"anyone", "domain"}:
        told["allowFileDiscovery"] = False
    return told


def owner_permission(owner: str) -> Permission:
    """Return what the owner of a file may do, as a permission of its own."""
    return Permission(permission_id("user", owner), "user", "owner", address(owner))


def file_json(view: FileView, link_root: str) -> dict[str, Any]:
    """Return the whole File resource of `view`; `fields` is applied later. Links begin with `link_root`."""
    data = view.metadata
    permissions = [owner_permission(view.owner), *data.permissions]
    owner = user_json(view.owner, view.me)
    told: dict[str, Any] = {
        "kind": "drive#file",
        "id": view.file_id,
        "name": view.name,
        "mimeType": view.mime_type,
        "starred": data.starred,
        "trashed": view.trashed,
        "explicitlyTrashed": view.explicitly_trashed,
        "parents": [view.parent_id] if view.parent_id else [],
        "properties": dict(data.properties),
        "appProperties": dict(data.app_properties),
        "spaces": ["drive"],
        "version": str(view.version),
        "createdTime": rfc3339(view.created_ns),
        "modifiedTime": rfc3339(view.modified_ns),
        "modifiedByMe": True,
        "modifiedByMeTime": rfc3339(view.modified_ns),
        "viewedByMe": data.viewed_ns is not None,
        "owners": [owner],
        "ownedByMe": view.owner == view.me,
        "lastModifyingUser": owner,
        "shared": bool(data.permissions),
        "permissions": [permission_json(one, view.me) for one in permissions],
        "permissionIds": [one.id for one in permissions],
        "writersCanShare": True,
        "copyRequiresWriterPermission": False,
        "isAppAuthorized": True,
        "quotaBytesUsed": str(view.size),
        "webViewLink": f"{link_root}/#id={view.file_id}",
        "capabilities": _capabilities(view),
    }
    if view.parent_id is None:
        del told["parents"]
    for name in ("properties", "appProperties"):
        if not told[name]:
            del told[name]
    if data.description:
        told["description"] = data.description
    if data.viewed_ns is not None:
        told["viewedByMeTime"] = rfc3339(data.viewed_ns)
    if view.trashed and data.trashed_ns is not None:
        told["trashedTime"] = rfc3339(data.trashed_ns)
    if data.folder_color and view.is_folder:
        told["folderColorRgb"] = data.folder_color
    return told if view.is_folder else told | _content_json(view, link_root)


def _content_json(view: FileView, link_root: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "size": str(view.size),
        "originalFilename": view.metadata.original_name or view.name,
        "fileExtension": view.extension,
        "fullFileExtension": view.extension,
        "headRevisionId": view.head_revision,
        "webContentLink": f"{link_root}/drive/v3/files/{view.file_id}?alt=media",
    }
    sums = view.sums
    if sums is not None:
        told |= {"md5Checksum": sums.md5, "sha1Checksum": sums.sha1, "sha256Checksum": sums.sha256}
    return told


def _capabilities(view: FileView) -> dict[str, bool]:
    is_file = not view.is_folder
    return {
        "canEdit": True,
        "canCopy": is_file,
        "canDelete": True,
        "canDownload": is_file,
        "canRename": True,
        "canTrash": True,
        "canUntrash": True,
        "canShare": True,
        "canReadRevisions": is_file,
        "canModifyContent": is_file,
        "canAddChildren": view.is_folder,
        "canListChildren": view.is_folder,
        "canComment": False,
    }


_FIELDS = """
    kind id name mimeType description starred trashed explicitlyTrashed trashingUser trashedTime parents
    properties appProperties spaces version webContentLink webViewLink iconLink hasThumbnail thumbnailLink
    thumbnailVersion viewedByMe viewedByMeTime createdTime modifiedTime modifiedByMeTime modifiedByMe
    sharedWithMeTime sharingUser owners teamDriveId driveId lastModifyingUser shared ownedByMe capabilities
    viewersCanCopyContent copyRequiresWriterPermission writersCanShare permissions permissionIds
    hasAugmentedPermissions folderColorRgb originalFilename fullFileExtension fileExtension md5Checksum
    sha1Checksum sha256Checksum size quotaBytesUsed headRevisionId contentHints imageMediaMetadata
    videoMediaMetadata isAppAuthorized shortcutDetails contentRestrictions resourceKey linkShareMetadata
    labelInfo exportLinks inheritedPermissionsDisabled downloadRestrictions clientEncryptionDetails"""
#: The names that `fields` may choose from at the top of a File.
FILE_FIELDS = frozenset(_FIELDS.split())
#: What is told when `fields` says nothing.
FILE_DEFAULT: Selection = {"kind": {}, "id": {}, "name": {}, "mimeType": {}}
