"""What only the drive knows of a file, kept in one extended attribute of its inode.

Rule: checksums and the revision's id belong to the size and mtime that they were taken at; a file that was
changed through the mount has none until they are taken anew.
"""

from typing import Any

import msgspec

from trivet.errors import CorruptReplica

ATTRIBUTE = b"trusted.trivet.drive"


class Sums(msgspec.Struct, frozen=True, omit_defaults=True):
    """Checksums of some bytes, as lower-case hex."""

    md5: str
    sha1: str
    sha256: str


class Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the bytes as they stood at `size` and `mtime_ns`.

    `checked` is the promise (see drive/validation) that they were checked against; "" = they were not. `by`
    is the user who put them there over HTTP, "" when it was in another way.
    """

    revision: str
    size: int
    mtime_ns: int
    sums: Sums | None = None
    checked: str = ""
    by: str = ""


class Permission(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who (`type` user, group, domain or anyone) may do what (`role`)."""

    id: str
    type: str
    role: str
    address: str = ""


class FileMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it; None and empty = nothing special. `trashed_from` is (parent ino, name in the mount).

    `validate` is a folder's rule for what is below it, `fault` what its check found wrong with a content.
    """

    file_id: str | None = None
    name: str | None = None
    mount_name: str | None = None
    owner: str | None = None
    created_ns: int | None = None
    viewed_ns: int | None = None
    mime_type: str | None = None
    description: str = ""
    original_name: str | None = None
    starred: bool = False
    folder_color: str | None = None
    properties: dict[str, str] = {}
    app_properties: dict[str, str] = {}
    content: Content | None = None
    permissions: list[Permission] = []
    trashed_from: tuple[int, str] | None = None
    trashed_ns: int | None = None
    keep_forever: bool = False
    validate: str | None = None
    fault: str | None = None

    def encoded(self) -> bytes:
        """Return it as it is stored."""
        return msgspec.msgpack.encode(self)

    def changed(self, **changes: Any) -> "FileMetadata":
        """Return it with `changes`."""
        return msgspec.structs.replace(self, **changes)

    def content_at(self, size: int, mtime_ns: int) -> Content | None:
        """Return what is known of the bytes at this size and mtime, None if that is nothing."""
        here = self.content
        return here if here and (here.size, here.mtime_ns) == (size, mtime_ns) else None

    def sums_of(self, size: int, mtime_ns: int) -> Sums | None:
        """Return the checksums, None if they are not those of the bytes at this size and mtime."""
        here = self.content_at(size, mtime_ns)
        return here.sums if here else None

    def revision_of(self, size: int, mtime_ns: int) -> str:
        """Return the id of the revision; one made outside of the drive is named by its mtime."""
        here = self.content_at(size, mtime_ns)
        return here.revision if here else f"m{mtime_ns}"

    def name_for(self, mount_name: str) -> str:
        """Return the drive's name of it: the mount's, unless they differ and nobody renamed it there."""
        return self.name if self.name is not None and self.mount_name == mount_name else mount_name


def decode_metadata(value: bytes) -> FileMetadata:
    """Return what `value` holds; CorruptReplica if nobody of ours has written it."""
    try:
        return msgspec.msgpack.decode(value, type=FileMetadata)
    except msgspec.DecodeError as error:
        raise CorruptReplica(f"the attribute {ATTRIBUTE.decode()} can't be read: {error}") from error
