"""Uploads that outlive a request: their rows, which process may write to one, what became of it.

Rule: a row says at least what is really held; the staged file may be longer, never shorter.
Rule: one request at a time writes to an upload, in whatever process; the lock goes with the process.
"""

import asyncio
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec

from trivet.drive.file_changes import FileChanges
from trivet.drive.uploads import EXPIRY_S, UploadState
from trivet.drive.validation.rule import DEFAULT_RULE, Rule
from trivet.errors import NotFound, QuotaExceeded, SessionExpired, UpstreamError
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.staging import made

State = Literal["waiting", "running", "verifying", "committed", "rolled back", "parked"]
OPEN_STATES = ("waiting", "running", "verifying", "parked")
OPEN_PER_USER_MAX = 1000
LOCK_WAIT_S = 10.0
_LOCK_POLL_S = 0.05
_COLUMNS = "key, user, state, staged, held, total, plan, result, error, created_at, touched_at, expires_at"


class UploadPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an upload is to become: a new file in `parent`, or new content of `target` (inodes).

    A new one that is `exact` has this very name or is not made; else it may come to be called `name (2)`.
    """

    changes: FileChanges
    parent: int | None = None
    target: int | None = None
    name: str = ""
    exact: bool = False
    path: str = ""
    content_type: str | None = None
    expected_version: int | None = None
    lock_owner: str = ""
    lock_token: int | None = None
    hashes: dict[str, str] = {}
    rule: Rule = DEFAULT_RULE


class Transfer(msgspec.Struct, frozen=True):
    """One row; times are Unix time, `result` is the file's id once it is committed."""

    key: str
    user: str
    state: State
    staged: int
    held: int
    total: int | None
    plan: UploadPlan
    result: str | None
    error: str | None
    created_at: float
    touched_at: float
    expires_at: float

    @property
    def upload_state(self) -> UploadState:
        """How far it is, as the protocol's rules see it."""
        return UploadState(self.held, self.total, self.expires_at)


async def begin(drive: Drive, user: str, plan: UploadPlan, total: int | None) -> Transfer:
    """Begin an upload of `user`; QuotaExceeded when they have too many open ones."""
    row = await drive.door.row(
        f"SELECT count(*) FROM transfers WHERE user = ? AND state IN {OPEN_STATES} AND expires_at > ?",
        user,
        time.time(),
    )
    if row and row[0] >= OPEN_PER_USER_MAX:
        raise QuotaExceeded(f"{user} has {OPEN_PER_USER_MAX:,} uploads open; finish or cancel some of them")
    key, now_s = secrets.token_urlsafe(24), time.time()
    async with made(drive, key) as (staged, _):
        pass
    await drive.door.write(
        f"INSERT INTO transfers ({_COLUMNS}) VALUES (?, ?, 'waiting', ?, 0, ?, ?, NULL, NULL, ?, ?, ?)",
        *(key, user, staged, total, msgspec.msgpack.encode(plan), now_s, now_s, now_s + EXPIRY_S),
    )
    return await get(drive, key)


async def get(drive: Drive, key: str) -> Transfer:
    """Return the upload `key`; NotFound if there is none, SessionExpired if its time is over."""
    row = await drive.door.row(f"SELECT {_COLUMNS} FROM transfers WHERE key = ?", key[:100])
    if row is None:
        raise NotFound("no such upload; it may have expired or been cancelled")
    found = _transfer(row)
    if found.expires_at <= time.time():
        raise SessionExpired("this upload has expired; begin a new one")
    return found


async def touched_since(drive: Drive, user: str, since: float, limit: int) -> list[Transfer]:
    """Return the uploads of `user` that were touched after `since`, the oldest change first."""
    rows = await drive.door.rows(
        f"SELECT {_COLUMNS} FROM transfers WHERE touched_at > ? AND user = ? ORDER BY touched_at LIMIT ?",
        *(since, user, limit),
    )
    return [_transfer(row) for row in rows]


async def newest(drive: Drive, user: str, limit: int) -> list[Transfer]:
    """Return the uploads of `user` that were touched last, the newest change first."""
    rows = await drive.door.rows(
        f"SELECT {_COLUMNS} FROM transfers WHERE user = ? ORDER BY touched_at DESC LIMIT ?", user, limit
    )
    return [_transfer(row) for row in rows]


def _transfer(row: tuple[Any, ...]) -> Transfer:
    plan = msgspec.msgpack.decode(row[6], type=UploadPlan)
    key, user, state, staged, held, total, _, *rest = row
    return Transfer(key, user, state, staged, held, total, plan, *rest)


async def note_held(drive: Drive, key: str, held: int, total: int | None) -> None:
    """Keep that `held` bytes of the upload are safe, and the total if that is known now."""
    await drive.door.write(
        "UPDATE transfers SET held = ?, total = coalesce(?, total), state = 'running', touched_at = ? "
        "WHERE key = ?",
        *(held, total, time.time(), key),
    )


async def note_state(
    drive: Drive, key: str, state: State, *, result: str | None = None, error: str | None = None
) -> None:
    """Keep what became of an upload."""
    await drive.door.write(
        "UPDATE transfers SET state = ?, result = coalesce(?, result), error = ?, touched_at = ? "
        "WHERE key = ?",
        *(state, result, error, time.time(), key),
    )


async def forget(drive: Drive, key: str) -> None:
    """Remove the row of an upload and its lock's file."""
    await drive.door.write("DELETE FROM transfers WHERE key = ?", key)
    drive.checks.drop(key)
    path = drive.folder / "uploads" / f"{key}.lock"
    await asyncio.to_thread(path.unlink, missing_ok=True)


@asynccontextmanager
async def only_writer(drive: Drive, key: str) -> AsyncIterator[None]:
    """Be the only one, in any process, who writes to the upload `key`; UpstreamError (503) if another is."""
    path = drive.folder / "uploads" / f"{key}.lock"
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise UpstreamError("another request is writing to this upload; try again") from None
            await asyncio.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(number)
