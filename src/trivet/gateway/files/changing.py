"""Changing what is there: names, folders, descriptions, the trash; making folders; copies.

Rule: a change asks for the right to change both where a file was and where it goes.
"""

from errno import EINVAL, ELOOP

import msgspec
from msgspec import UNSET

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import FileChanges, apply_changes
from trivet.drive.file_metadata import FileMetadata
from trivet.drive.names import PATH_DEPTH_MAX
from trivet.drive.resources import FOLDER_MIME, FileView
from trivet.drive.rights import Principal
from trivet.errors import FileSystemError, NotFound
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.generated_ids import check_unused, note_use
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.publishing import make_folder, place
from trivet.gateway.files.reading import hold, read_pieces
from trivet.gateway.files.removal import refuse_root, trash, untrash
from trivet.gateway.files.transfers import UploadPlan
from trivet.gateway.files.uploading import upload_whole
from trivet.io.clock import wall_s
from trivet.volume.interface import AttributeChanges

UNTITLED = "Untitled"


async def new_plan(
    drive: Drive, who: Principal, changes: FileChanges, content_type: str | None
) -> UploadPlan:
    """Return the plan of a new file that `changes` describe, once it is known that it may be made."""
    if changes.makes_folder:
        raise InvalidParameter("a folder has no content", "mimeType")
    folder = await parent_of(drive, who, changes)
    name = UNTITLED if changes.name is UNSET else changes.name
    mime = content_type if changes.mime_type is UNSET else changes.mime_type
    path = f"{folder.path.rstrip('/')}/{name}"
    rule = await nodes.rule_for(drive, folder)
    return UploadPlan(changes, parent=folder.ino, name=name, path=path, content_type=mime, rule=rule)


async def parent_of(drive: Drive, who: Principal, changes: FileChanges) -> FileView:
    """Return the folder that `changes` name for a new file, the root if none; its id must be free."""
    if changes.id is not UNSET:
        await check_unused(drive, changes.id)
    parents = [] if changes.parents is UNSET else changes.parents
    folder = await nodes.find_folder(drive, parents[0] if parents else "root", who)
    if folder.path.count("/") >= PATH_DEPTH_MAX:
        raise InvalidParameter(f"folders are at most {PATH_DEPTH_MAX} deep", "parents")
    return folder


async def create_folder(drive: Drive, who: Principal, changes: FileChanges) -> FileView:
    """Make the folder that `changes` describe."""
    parent = await parent_of(drive, who, changes)
    name = UNTITLED if changes.name is UNSET else changes.name
    file_id = None if changes.id is UNSET else changes.id
    made = FileMetadata(name=name, owner=who.user, file_id=file_id, created_ns=int(wall_s() * 10**9))
    ino = await make_folder(drive, parent.ino, apply_changes(made, changes))
    await note_use(drive, file_id, ino, who.user)
    if changes.modified_ns is not None:
        await drive.volume.setattr(ino, AttributeChanges(mtime_ns=changes.modified_ns))
    return await nodes.look(drive, ino, who.user)


async def make_folders(drive: Drive, who: Principal, names: list[str]) -> FileView:
    """Return the folder that `names` lead to from the root; those that are missing are made."""
    here = await find_path(drive, [], who)
    for depth in range(1, len(names) + 1):
        try:
            here = await find_path(drive, names[:depth], who)
        except NotFound:
            sent = FileChanges(name=names[depth - 1], parents=[here.file_id], mime_type=FOLDER_MIME)
            here = await create_folder(drive, who, sent)
    if not here.is_folder:
        raise InvalidParameter(f"{here.path} is no folder", "path")
    return here


async def change(
    drive: Drive,
    who: Principal,
    view: FileView,
    changes: FileChanges,
    add_parent: str | None,
    remove_parents: list[str],
) -> FileView:
    """Apply `changes` to `view`, and move it to the folder `add_parent` (None = it stays where it is)."""
    if changes.trashed is not UNSET and changes.trashed != view.trashed:
        await (trash if changes.trashed else untrash)(drive, view)
        view = await nodes.look(drive, view.ino, who.user)
    data = apply_changes(view.metadata, changes)
    if view.is_folder and data.mime_type is not None:
        raise InvalidParameter("a folder stays a folder", "mimeType")
    name = view.name if changes.name is UNSET else changes.name
    folder = await _new_parent(drive, who, view, add_parent, remove_parents)
    if folder is not None or name != view.name:
        refuse_root(view)
        await _move(drive, view, folder, data.changed(name=name))
    elif data != view.metadata:
        await nodes.store_metadata(drive, view.ino, data)
    if changes.modified_ns is not None:
        await _set_modified(drive, view.ino, changes.modified_ns)
    return await nodes.look(drive, view.ino, who.user)


async def _new_parent(
    drive: Drive, who: Principal, view: FileView, add_parent: str | None, remove_parents: list[str]
) -> FileView | None:
    for one in remove_parents:
        if one != view.parent_id and not (one == "root" and view.parent_id == "1"):
            raise InvalidParameter(f"{one[:80]!r} is not the parent of the file", "removeParents")
    if add_parent is None:
        if remove_parents:
            raise InvalidParameter("a file needs a parent; add one with addParents", "removeParents")
        return None
    if "," in add_parent:
        raise InvalidParameter(
            "A file cannot have more than one parent", "addParents", reason="multiparenting"
        )
    folder = await nodes.find_folder(drive, add_parent, who)
    return None if folder.file_id == view.parent_id else folder


async def _move(drive: Drive, view: FileView, folder: FileView | None, data: FileMetadata) -> None:
    if view.explicitly_trashed:
        raise InvalidParameter("a file in the trash can't be moved or renamed; restore it first", "fileId")
    parent, old_name = (await drive.volume.names_of(view.ino))[0]
    if folder is not None and folder.ino == view.ino:
        raise InvalidParameter("a folder can't be put into itself", "addParents")
    try:
        await place(drive, parent, old_name, view.ino, folder.ino if folder else parent, data)
    except FileSystemError as error:
        await nodes.store_metadata(drive, view.ino, view.metadata)
        if error.errno in {EINVAL, ELOOP}:
            raise InvalidParameter("a folder can't be put into itself", "addParents") from error
        raise


async def _set_modified(drive: Drive, ino: int, modified_ns: int) -> None:
    """Set the mtime; what is known of the content stays known."""
    data = await nodes.metadata_of(drive, ino)
    before = await drive.volume.getattr(ino)
    mark = data.content
    await drive.volume.setattr(ino, AttributeChanges(mtime_ns=modified_ns))
    if mark is not None and (mark.size, mark.mtime_ns) == (before.size, before.mtime_ns):
        moved = msgspec.structs.replace(mark, mtime_ns=modified_ns)
        await nodes.store_metadata(drive, ino, data.changed(content=moved))


async def copy(drive: Drive, who: Principal, view: FileView, changes: FileChanges) -> FileView:
    """Make a copy of the file `view`, changed as `changes` say; beside it unless they name a folder."""
    if view.is_folder:
        raise InvalidParameter("a folder can't be copied", "fileId", reason="cannotCopyFile")
    name = f"Copy of {view.name}"[:120] if changes.name is UNSET else changes.name
    parents = [view.parent_id or "root"] if changes.parents is UNSET else changes.parents
    inherited = FileChanges(
        id=changes.id,
        name=name,
        parents=parents,
        description=view.metadata.description if changes.description is UNSET else changes.description,
        starred=changes.starred,
        properties={**view.metadata.properties, **(changes.properties or {})},
        app_properties={**view.metadata.app_properties, **(changes.app_properties or {})},
        mime_type=changes.mime_type,
        created_time=changes.created_time,
        modified_time=changes.modified_time,
    )
    plan = await new_plan(drive, who, inherited, view.mime_type)
    snapshot = await hold(drive, view.ino, who.user)
    size = snapshot.attributes.size
    return await upload_whole(drive, who, plan, read_pieces(drive, snapshot, 0, size), size)
