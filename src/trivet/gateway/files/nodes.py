"""Finding files: by id, by path, in a folder; what is told of them, and whether somebody may see them.

Rule: what stands below the private folder, but for the trash, is nobody's file and can't be found.
Rule: symlinks, devices and sockets are not the drive's: never followed, never told.
Rule: what somebody may not read, is not there for them.
"""

import mimetypes
import stat
from collections.abc import AsyncIterator
from errno import ENODATA, ENOENT, ESTALE
from typing import NamedTuple

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_metadata import ATTRIBUTE, FileMetadata, decode_metadata
from trivet.drive.names import PATH_DEPTH_MAX, shown
from trivet.drive.resources import BINARY_MIME, FOLDER_MIME, FileView
from trivet.drive.rights import Grant, Principal, Verb
from trivet.drive.validation.rule import Rule, effective_rule, parse_rule
from trivet.errors import FileSystemError, Forbidden, NotFound
from trivet.gateway.files.drive import Drive
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, Attributes, Described, DescribedEntry, Step

LISTING_STEP = 500
_TYPES = mimetypes.MimeTypes()
_INO_MAX = 1 << 53


def not_found(file_id: object) -> NotFound:
    """Return the error for a file that is not there, or not for the one who asks."""
    return NotFound(f"File not found: {file_id}.")


async def metadata_of(drive: Drive, ino: int) -> FileMetadata:
    """Return what the drive knows of `ino`; nothing special if it never kept anything."""
    try:
        return decode_metadata(await drive.volume.getxattr(ino, ATTRIBUTE))
    except FileSystemError as error:
        if error.errno == ENODATA:
            return FileMetadata()
        raise


def decoded(value: bytes | None) -> FileMetadata:
    """Return what an attribute's `value` says; nothing special if there is none."""
    return FileMetadata() if value is None else decode_metadata(value)


async def store_metadata(drive: Drive, ino: int, metadata: FileMetadata) -> None:
    """Keep `metadata` of `ino`."""
    await drive.volume.setxattr(ino, ATTRIBUTE, metadata.encoded(), create=False, replace=False)


async def find_ino(drive: Drive, file_id: str) -> int:
    """Return the inode that `file_id` names ("root" is the root); NotFound if it is no id."""
    if file_id == "root":
        return ROOT_INO
    if file_id.isascii() and file_id.isdecimal() and len(file_id) < 17 and 0 < int(file_id) < _INO_MAX:
        return int(file_id)
    row = await drive.door.row("SELECT ino FROM generated WHERE id = ?", file_id[:200])
    if row is None or row[0] is None:
        raise not_found(file_id[:80])
    return int(row[0])


async def find(drive: Drive, file_id: str, who: Principal, verb: Verb = "r") -> FileView:
    """Return the file `file_id`, if `who` may read it, and may `verb` it."""
    try:
        view = await look(drive, await find_ino(drive, file_id), who.user)
    except FileSystemError as error:
        if error.errno in {ENOENT, ESTALE}:
            raise not_found(file_id) from error
        raise
    if view.file_id != file_id and file_id != "root":
        raise not_found(file_id)
    await check(drive, view, who, verb)
    return view


async def check(drive: Drive, view: FileView, who: Principal, verb: Verb) -> None:
    """Raise NotFound if `who` may not read the file `view`, Forbidden if they may not `verb` it."""
    drive.vendors.described(view.path)
    if who.may(verb, view.path):
        return
    grants = await grants_of(drive, view)
    if not who.may("r", view.path, grants):
        raise not_found(view.file_id)
    if not who.may(verb, view.path, grants):
        raise Forbidden(f"{who.user} may not change {view.path}")


async def grants_of(drive: Drive, view: FileView) -> list[Grant]:
    """Return the permissions given on `view` and on the folders above it."""
    told = await drive.volume.describe(view.ino, ATTRIBUTE)
    return [grant for value in _values(told) for grant in grants_in(decoded(value))]


async def rule_for(drive: Drive, view: FileView) -> Rule:
    """Return what is done below the folder, or with the file, `view` with content that fails its check."""
    told = await drive.volume.describe(view.ino, ATTRIBUTE)
    rules = [_rule_in(decoded(value)) for value in _values(told)]
    return effective_rule(reversed(rules))


def _values(told: Described) -> list[bytes | None]:
    """Return the attributes of an inode and of all above it."""
    return [told.value, *(step.value for step in told.way)]


def _rule_in(metadata: FileMetadata) -> Rule | None:
    return None if metadata.validate is None else parse_rule(metadata.validate)


def grants_in(metadata: FileMetadata) -> list[Grant]:
    """Return the permissions in `metadata` as rights understand them."""
    return [
        Grant(one.type, one.address.removesuffix("@trivet.local"), one.role) for one in metadata.permissions
    ]


async def look(drive: Drive, ino: int, me: str) -> FileView:
    """Return the file or folder `ino` as the user `me` sees it; NotFound if it is none of the drive's."""
    told = await drive.volume.describe(ino, ATTRIBUTE)
    if not is_ours(told.attributes):
        raise not_found(ino)
    seen = Seen(told.attributes, decoded(told.value), told.version)
    if ino == ROOT_INO:
        return view_of(drive, seen, b"", None, "/", me)
    steps, in_trash = await _way_up(drive, ino, told.way)
    parent, name = steps[0]
    path = "/" + "/".join(shown(step) for _, step in reversed(steps))
    if in_trash:
        parent_id = await id_of(drive, parent)
    else:
        parent_id = decoded(told.way[0].value).file_id or str(parent)
    return view_of(drive, seen, name, parent_id, path, me, in_trash=in_trash)


async def _way_up(drive: Drive, ino: int, way: list[Step]) -> tuple[list[tuple[int, bytes]], bool]:
    """Return (parent, name) from `ino` up to the root, and whether that leads through the trash."""
    steps: list[tuple[int, bytes]] = []
    in_trash, here, left = False, ino, list(way)
    while here != ROOT_INO:
        if not left or len(steps) > 4 * PATH_DEPTH_MAX:
            raise not_found(ino)
        step = left.pop(0)
        parent, name = step.parent, step.name
        if parent == drive.trash_ino:
            in_trash = True
            data = await metadata_of(drive, here)
            if data.trashed_from is None:
                raise not_found(ino)
            parent, name = data.trashed_from[0], data.trashed_from[1].encode()
            steps.append((parent, name))
            try:
                left = (await drive.volume.describe(parent, ATTRIBUTE)).way
            except FileSystemError:  # that folder is gone
                break
        elif parent == PRIVATE_INO:
            raise not_found(ino)
        else:
            steps.append((parent, name))
        here = parent
    return steps, in_trash


async def _is_there(drive: Drive, ino: int) -> bool:
    try:
        await drive.volume.getattr(ino)
    except FileSystemError:
        return False
    return True


def is_ours(attributes: Attributes) -> bool:
    """Tell whether it is a file or a folder."""
    return stat.S_ISREG(attributes.mode) or stat.S_ISDIR(attributes.mode)


class Seen(NamedTuple):
    """What was asked of the volume already; `version` is 0 where nobody will ask for it."""

    attributes: Attributes
    metadata: FileMetadata
    version: int


def view_of(
    drive: Drive,
    seen: Seen,
    name: bytes,
    parent_id: str | None,
    path: str,
    me: str,
    *,
    in_trash: bool = False,
) -> FileView:
    """Return the view of what was `seen`, whose `name`, parent and `path` are known already."""
    attributes, data, version = seen
    is_folder = stat.S_ISDIR(attributes.mode)
    called = data.name_for(shown(name)) if name else "My Drive"
    return FileView(
        ino=attributes.ino,
        file_id=data.file_id or str(attributes.ino),
        name=called,
        mount_name=shown(name),
        path=path,
        is_folder=is_folder,
        mime_type=FOLDER_MIME if is_folder else data.mime_type or guess_type(called),
        size=0 if is_folder else attributes.size,
        created_ns=data.created_ns or min(attributes.mtime_ns, attributes.ctime_ns),
        modified_ns=attributes.mtime_ns,
        version=version,
        parent_id=parent_id,
        trashed=in_trash,
        explicitly_trashed=in_trash and data.trashed_from is not None,
        metadata=data,
        owner=data.owner or drive.owner,
        me=me,
        head_revision=data.revision_of(attributes.size, attributes.mtime_ns),
    )


async def id_of(drive: Drive, ino: int) -> str:
    """Return the id of the folder `ino`."""
    if ino == ROOT_INO or not await _is_there(drive, ino):
        return str(ino)
    return (await metadata_of(drive, ino)).file_id or str(ino)


def guess_type(name: str) -> str:
    """Return the MIME type that `name` suggests."""
    return _TYPES.guess_type(name, strict=False)[0] or BINARY_MIME


async def entries_of(
    drive: Drive,
    ino: int,
    after_cookie: int = 0,
    at_once: int = LISTING_STEP,
    *,
    with_versions: bool = False,
) -> AsyncIterator[DescribedEntry]:
    """Yield the entries of the folder `ino` that are the drive's, behind `after_cookie`, asked `at_once`."""
    while True:
        step = await drive.volume.described_listing(
            ino, after_cookie, at_once, ATTRIBUTE, with_versions=with_versions
        )
        for entry in step:
            if is_ours(entry.attributes) and entry.name not in (b".", b".."):
                yield entry
        if len(step) < at_once:
            return
        after_cookie = step[-1].cookie


async def find_folder(drive: Drive, file_id: str, who: Principal) -> FileView:
    """Return the folder `file_id` in which `who` wants to put something."""
    folder = await find(drive, file_id, who, "w")
    if not folder.is_folder:
        raise InvalidParameter(f"{folder.name} is no folder", "parents", reason="parentNotAFolder")
    if folder.trashed:
        raise InvalidParameter(f"the folder {folder.name} is in the trash", "parents")
    return folder
