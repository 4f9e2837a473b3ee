"""Ids given out before there is a file: each makes one file, or none."""

import secrets
import time

from trivet.drive.errors_v3 import InvalidParameter
from trivet.errors import Conflict
from trivet.gateway.files.drive import Drive

COUNT_MAX = 1000
_BYTES = 21


async def generate(drive: Drive, user: str, count: int) -> list[str]:
    """Return `count` new ids that `user` may create files with."""
    ids = [f"1{secrets.token_urlsafe(_BYTES)}" for _ in range(count)]
    for one in ids:
        await drive.door.write("INSERT INTO generated VALUES (?, ?, NULL, ?)", one, user, time.time())
    return ids


async def check_unused(drive: Drive, file_id: str) -> None:
    """Raise InvalidParameter if `file_id` was never given out, Conflict if it has made a file."""
    row = await drive.door.row("SELECT ino FROM generated WHERE id = ?", file_id[:200])
    if row is None:
        raise InvalidParameter(f"The provided file ID is not usable: {file_id[:80]}.", "id")
    if row[0] is not None:
        raise Conflict("A file already exists with the provided ID.")


async def note_use(drive: Drive, file_id: str | None, ino: int, user: str) -> None:
    """Bind `file_id` (None: nothing to do) to the file `ino`; Conflict if another was quicker."""
    if file_id is None:
        return
    changed = await drive.door.write(
        "UPDATE generated SET ino = ? WHERE id = ? AND (ino IS NULL OR ino = ?)", ino, file_id, ino
    )
    if not changed:
        raise Conflict("A file already exists with the provided ID.")
