"""From staged to visible, in one step: a new file gets its name, a file gets its new content.

Rule: nobody ever sees half a file: a staged file is whole, checked and described before it is renamed or
exchanged.
Rule: the content that was there before becomes a revision, without a copy.
"""

import secrets
import time
from dataclasses import replace
from errno import EEXIST, ENOENT

from trivet.drive.file_metadata import Content, FileMetadata, Sums
from trivet.drive.names import mount_name
from trivet.drive.resources import FileView
from trivet.drive.validation.validator import Content as CheckedContent
from trivet.errors import Conflict, FileSystemError, NotFound, PreconditionFailed
from trivet.gateway.files.drive import FOLDER_MODE, Drive
from trivet.gateway.files.nodes import look, metadata_of, store_metadata
from trivet.gateway.files.old_versions import prune
from trivet.gateway.files.paths import GONE

NUMBERS_MAX = 1000


def described(
    metadata: FileMetadata, content: CheckedContent, mtime_ns: int, checked: str, by: str
) -> FileMetadata:
    """Return `metadata` with what is known of `content` of the user `by`, that has this mtime, as a revision.

    `checked` is the promise that it was checked against, "" if it was not.
    """
    sums = Sums(**content.checksums)
    known = Content(secrets.token_hex(12), content.size_bytes, mtime_ns, sums, checked, by)
    return metadata.changed(content=known, fault=content.fault)


async def publish_new(
    drive: Drive, staged_name: str, staged: int, parent: int, metadata: FileMetadata, *, exact: bool
) -> None:
    """Give the staged file its name in the folder `parent`; `metadata.name` says which (see `place`)."""
    await place(drive, drive.uploads_ino, staged_name.encode(), staged, parent, metadata, exact=exact)


async def place(
    drive: Drive,
    old_parent: int,
    old_name: bytes,
    ino: int,
    parent: int,
    metadata: FileMetadata,
    *,
    exact: bool = False,
) -> None:
    """Rename into `parent` under the first free form of `metadata.name`; keep `metadata` on the way.

    Raises Conflict when a thousand files have that name already, or if one has that is to be `exact`, EEXIST.
    """
    name = metadata.name
    assert name is not None
    for number in range(1, NUMBERS_MAX):
        chosen = mount_name(name, number)
        kept = metadata.changed(
            mount_name=None if chosen == name else chosen, name=None if chosen == name else name
        )
        await store_metadata(drive, ino, kept)
        if (old_parent, old_name) == (parent, chosen.encode()):
            return
        try:
            await drive.volume.rename(
                old_parent, old_name, parent, chosen.encode(), replace=False, exchange=False
            )
        except FileSystemError as error:
            if error.errno != EEXIST or exact:
                raise
            continue
        return
    raise Conflict(f"there are too many files called {name!r} in this folder")


async def make_folder(drive: Drive, parent: int, metadata: FileMetadata) -> int:
    """Make a folder in `parent`, described before it is seen; return its inode."""
    key = "folder-" + secrets.token_hex(12)
    made = await drive.volume.mkdir(drive.uploads_ino, key.encode(), FOLDER_MODE, drive.caller)
    await place(drive, drive.uploads_ino, key.encode(), made.ino, parent, metadata)
    return made.ino


async def publish_over(
    drive: Drive,
    staged_name: str,
    staged: int,
    target: FileView,
    metadata: FileMetadata,
    expected_version: int | None,
) -> FileView:
    """Let `target` have the content of the staged file; what it had becomes its newest old version.

    `metadata` is what `target` is to have then; what it is then is returned. Raises PreconditionFailed, and
    changes nothing, when `target` is not at `expected_version` (None: any will do).
    """
    old = await metadata_of(drive, target.ino)
    if old.content is None or (old.content.size, old.content.mtime_ns) != (target.size, target.modified_ns):
        mark = Content(target.head_revision, target.size, target.modified_ns)
        old = old.changed(content=mark)
    past = FileMetadata(
        owner=old.owner,
        mime_type=old.mime_type,
        original_name=old.original_name or target.name,
        content=old.content,
        keep_forever=old.keep_forever,
    )
    await store_metadata(drive, staged, past)
    try:
        version = await drive.volume.publish(staged, target.ino, expected_version)
    except Conflict as error:
        raise PreconditionFailed(f"{target.name} was changed meanwhile: {error}") from error
    metadata = metadata.changed(keep_forever=False)
    try:
        await store_metadata(drive, target.ino, metadata)
        await file_away(drive, staged_name, target.ino)
        await prune(drive, target.ino)
        return await look(drive, target.ino, target.me)
    except (FileSystemError, NotFound) as error:
        if isinstance(error, FileSystemError) and error.errno not in GONE:
            raise
    # it was published, and another file has been renamed over it, or it was removed, since
    content = metadata.content
    assert content is not None
    return replace(
        target, metadata=metadata, size=content.size, modified_ns=content.mtime_ns, version=version,
        head_revision=content.revision,
    )  # fmt: skip


async def file_away(drive: Drive, staged_name: str, ino: int) -> None:
    """Put the staged file, which holds the old content now, among the revisions of the file `ino`."""
    folder = await revisions_folder(drive, ino)
    name = f"{time.time_ns():020d}".encode()
    await drive.volume.rename(
        drive.uploads_ino, staged_name.encode(), folder, name, replace=False, exchange=False
    )


async def was_exchanged(drive: Drive, staged: int) -> bool:
    """Tell whether the staged file holds the old content of what it was to replace."""
    data, attributes = await metadata_of(drive, staged), await drive.volume.getattr(staged)
    mark = data.content
    return mark is not None and (mark.size, mark.mtime_ns) == (attributes.size, attributes.mtime_ns)


async def revisions_folder(drive: Drive, ino: int) -> int:
    """Return the folder of the old versions of `ino`, made if there is none."""
    name = str(ino).encode()
    try:
        return (await drive.volume.lookup(drive.revisions_ino, name)).ino
    except FileSystemError as error:
        if error.errno != ENOENT:
            raise
    try:
        return (await drive.volume.mkdir(drive.revisions_ino, name, 0o700, drive.caller)).ino
    except FileSystemError as error:
        if error.errno != EEXIST:
            raise
        return (await drive.volume.lookup(drive.revisions_ino, name)).ino
