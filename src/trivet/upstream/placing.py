"""What is done to the volume for the vendor's sake: placeholders, names, new content, removals.

Rule: a file is marked away, described and in the mirror before it gets its name: nobody sees a half-made one,
and nobody takes it for one of ours.
Rule: nothing that was changed here is replaced: the version that was looked at must still be the present one.
"""

import secrets
from errno import EEXIST, ENODATA, ENOENT, ENOTEMPTY, ESTALE

from trivet.drive.file_metadata import ATTRIBUTE, Content, FileMetadata, Sums
from trivet.drive.names import mount_name
from trivet.drive.timestamps import parse_rfc3339
from trivet.errors import FileSystemError
from trivet.io.drive_api import VendorFile
from trivet.upstream.standing import Here, Row, Upstream
from trivet.volume.interface import AWAY, AttributeChanges

FILE_MODE, FOLDER_MODE = 0o644, 0o755
_NUMBERS_MAX = 1000


def modified_ns(file: VendorFile) -> int:
    """Return when a file was changed at the vendor; 0 if its time can't be read."""
    try:
        return max(0, parse_rfc3339(file.modified_time))
    except ValueError:
        return 0


async def describe(up: Upstream, ino: int, file: VendorFile, name: str, shown_as: str) -> None:
    """Keep what the vendor tells of `file` where the drive keeps it: type, sums, the name it goes by."""
    metadata = await up.metadata(ino)
    sums = None
    if file.md5_checksum and file.sha1_checksum and file.sha256_checksum:
        sums = Sums(file.md5_checksum, file.sha1_checksum, file.sha256_checksum)
    content = None
    if not file.is_folder:
        content = Content(file.head_revision_id or "1", int(file.size), modified_ns(file), sums)
    differs = name != shown_as
    changed = metadata.changed(
        content=content,
        mime_type=None if file.is_folder else file.mime_type,
        name=name if differs else None,
        mount_name=shown_as if differs else None,
    )
    await _store(up, ino, changed)


async def _store(up: Upstream, ino: int, metadata: FileMetadata) -> None:
    await up.volume.setxattr(ino, ATTRIBUTE, metadata.encoded(), create=False, replace=False)


async def staged_placeholder(up: Upstream, file: VendorFile) -> tuple[int, bytes]:
    """Make the placeholder of a file, or a folder, where nobody sees it; return its inode and name there."""
    key = f"upstream-{secrets.token_hex(12)}".encode()
    if file.is_folder:
        made = await up.volume.mkdir(up.staging_ino, key, FOLDER_MODE, up.caller)
        return made.ino, key
    made, handle = await up.volume.create(up.staging_ino, key, FILE_MODE, up.caller)
    await up.volume.release(handle)
    if int(file.size):
        await up.volume.setattr(made.ino, AttributeChanges(size=int(file.size)))
        await up.volume.setxattr(made.ino, AWAY, up.mark(file.id), create=False, replace=False)
    await up.volume.setattr(made.ino, AttributeChanges(mtime_ns=modified_ns(file)))
    return made.ino, key


async def place_new(up: Upstream, file: VendorFile, parent: str, parent_ino: int) -> Row:
    """Let a file of the vendor appear in the folder `parent`; return its row."""
    ino, key = await staged_placeholder(up, file)
    return await name_placeholder(up, file, parent, parent_ino, ino, key)


async def name_placeholder(
    up: Upstream, file: VendorFile, parent: str, parent_ino: int, ino: int, key: bytes
) -> Row:
    """Give the placeholder `ino`, staged as `key`, its name in the folder `parent`; return its row."""
    row = Row(
        id=file.id, ino=ino, parent=parent, name=file.name, mount_name=mount_name(file.name),
        md5=None if file.is_folder else file.md5_checksum or "", size=int(file.size),
        mtime_ns=modified_ns(file), agreed=True,
    )  # fmt: skip
    await up.mirror.put(row)
    chosen = await rename_free(up, up.staging_ino, key, parent_ino, file.name, None)
    row = row.changed(mount_name=chosen)
    await describe(up, ino, file, file.name, chosen)
    await up.mirror.put(row)
    return row


async def is_unfinished(up: Upstream, row: Row) -> bool:
    """Tell whether the placeholder of `row` never got its name; then it is removed, and the row forgotten.

    What is not in the tree because of that was not removed by anybody.
    """
    if row.ino is None:
        return False
    try:
        names = await up.volume.names_of(row.ino)
    except FileSystemError as error:
        if error.errno not in {ENOENT, ESTALE}:
            raise
        return False
    staged = [name for parent_ino, name in names if parent_ino == up.staging_ino]
    for name in staged:
        if row.md5 is None:
            await up.volume.rmdir(up.staging_ino, name)
        else:
            await unlink_quietly(up, up.staging_ino, name)
    if staged:
        await up.mirror.drop(row.id)
    return bool(staged)


async def rename_free(
    up: Upstream, parent_ino: int, name: bytes, new_parent_ino: int, wanted: str, now: str | None
) -> str:
    """Rename to the first free form of `wanted` ("a.txt", "a (2).txt" ...); return it.

    `now` is the form that the file itself has in the new folder already, None if it is not there.
    """
    for number in range(1, _NUMBERS_MAX):
        chosen = mount_name(wanted, number)
        if chosen == now:
            return chosen
        try:
            await up.volume.rename(
                parent_ino, name, new_parent_ino, chosen.encode(), replace=False, exchange=False
            )
        except FileSystemError as error:
            if error.errno == EEXIST:
                continue
            raise
        return chosen
    raise FileSystemError(EEXIST, f"there are too many files called {wanted!r} in one folder")


async def take_names(up: Upstream, row: Row, here: Here, file: VendorFile, parent: str) -> Row:
    """Let a file here have the name and folder that it has at the vendor; return its row."""
    parent_ino = await up.mirror.folder_ino(parent)
    assert row.ino is not None
    if parent_ino is None:
        return row
    now = here.mount_name if parent_ino == here.parent_ino else None
    chosen = await rename_free(up, here.parent_ino, here.mount_name.encode(), parent_ino, file.name, now)
    await describe_name(up, row.ino, file.name, chosen)
    row = row.changed(parent=parent, name=file.name, mount_name=chosen)
    await up.mirror.put(row)
    return row


async def describe_name(up: Upstream, ino: int, name: str, shown_as: str) -> None:
    """Keep the name that a file goes by, where it differs from the one it has in the mount."""
    metadata = await up.metadata(ino)
    differs = name != shown_as
    changed = metadata.changed(name=name if differs else None, mount_name=shown_as if differs else None)
    if changed != metadata:
        await _store(up, ino, changed)


async def replace_placeholder(up: Upstream, row: Row, file: VendorFile) -> Row:
    """Let a body that is away be that of the vendor's newest version; return the row."""
    assert row.ino is not None
    version = await up.volume.version(row.ino)
    if await up.away_id(row.ino) != row.id:
        return row
    ino, key = await staged_placeholder(up, file)
    try:
        await up.volume.publish(ino, row.ino, version)
        await describe(up, row.ino, file, row.name, row.mount_name)
        row = row.changed(md5=file.md5_checksum or "", size=int(file.size), mtime_ns=modified_ns(file))
        await up.mirror.put(row)
    finally:
        await unlink_quietly(up, up.staging_ino, key)
    return row


async def remove_here(up: Upstream, row: Row, here: Here) -> bool:
    """Remove a file that is gone at the vendor; False if it is a folder that still holds something."""
    name = here.mount_name.encode()
    try:
        if here.side.md5 is None:
            await up.volume.rmdir(here.parent_ino, name)
        else:
            await up.volume.unlink(here.parent_ino, name)
    except FileSystemError as error:
        if error.errno == ENOTEMPTY:
            return False
        if error.errno != ENOENT:
            raise
    await up.mirror.drop(row.id)
    return True


async def unlink_quietly(up: Upstream, parent_ino: int, name: bytes) -> None:
    """Take a staged name away if it is still there."""
    try:
        await up.volume.unlink(parent_ino, name)
    except FileSystemError as error:
        if error.errno not in {ENOENT, ENODATA}:
            raise
