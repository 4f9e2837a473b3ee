"""File views for tests of the drive's cores."""

from typing import Any

from trivet.drive.file_metadata import FileMetadata, Permission
from trivet.drive.resources import FileView

READER = Permission("user-reader@example.org", "user", "reader", "reader@example.org")


def view(ino: int = 10, **changes: Any) -> FileView:
    """Return a view of a file called hello.txt, with `changes`; metadata's fields may be among them."""
    own = {name: changes.pop(name) for name in list(changes) if name in FileMetadata.__struct_fields__
           and name not in FileView.__slots__}  # fmt: skip
    fields: dict[str, Any] = {
        "ino": ino,
        "file_id": str(ino),
        "name": "hello.txt",
        "mount_name": "hello.txt",
        "path": "/hello.txt",
        "is_folder": False,
        "mime_type": "text/plain",
        "size": 5,
        "created_ns": 10**18,
        "modified_ns": 10**18,
        "version": 3,
        "parent_id": "1",
        "trashed": False,
        "explicitly_trashed": False,
        "metadata": FileMetadata(permissions=[READER], **own),
        "owner": "me",
        "me": "me",
        "head_revision": "r1",
    }
    return FileView(**(fields | changes))
