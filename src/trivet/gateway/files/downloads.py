"""Downloads as transfers: those with a row outlive the request, the worker and the machine.

Rule: a row is made for a download that was begun by key, and for a whole file of ROW_BYTES or more; smaller
ones stand in the list of their worker while they run, and cost no write.
Rule: a row names one revision; what goes on is that content, also when the file has another one by now.
Rule: who sends to a kept download holds its lock; a row that says so without a lock is parked.
"""

import asyncio
import fcntl
import os
import secrets
import time
from contextlib import suppress
from typing import Any

import msgspec

from trivet.drive.rights import Principal
from trivet.drive.uploads import EXPIRY_S
from trivet.errors import CorruptContent, NotFound, RequestError, SessionExpired, UnsupportedType
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.leaving import Outgoing, outgoing
from trivet.gateway.files.live_downloads import DownloadPlan, LiveDownload
from trivet.gateway.files.old_versions import find_revision

ROW_BYTES = 8 << 20
#: No key of an upload begins so.
KEY_PREFIX = "d."
#: How long a download that is over is still told of.
TOLD_S = 24 * 3600.0
CHECKPOINT_BYTES, CHECKPOINT_S = 32 << 20, 2.0
_COLUMNS = "key, user, state, sent, plan, error, touched_at, expires_at"


def plan_of(out: Outgoing, size: int, mtime_ns: int) -> DownloadPlan:
    """Return the plan of a download of `out`, which is of this size and mtime."""
    sums, revision = out.metadata.sums_of(size, mtime_ns), out.metadata.revision_of(size, mtime_ns)
    return DownloadPlan(
        out.view.file_id, revision, out.name, out.view.path, size, sums.sha256 if sums else None
    )


def new(user: str, plan: DownloadPlan) -> LiveDownload:
    """Return a download of `user` that nobody knows of yet."""
    return LiveDownload(KEY_PREFIX + secrets.token_urlsafe(24), user, plan, time.time() + EXPIRY_S)


async def keep(drive: Drive, one: LiveDownload) -> None:
    """Keep a new download in a row."""
    one.kept = True
    await drive.door.write(
        f"INSERT INTO downloads ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(one.key, one.user, one.state, one.sent, msgspec.msgpack.encode(one.plan), one.error),
        *(one.touched_at, one.expires_at),
    )


async def get(drive: Drive, key: str, who: Principal) -> LiveDownload:
    """Return the download `key` of `who`; NotFound, or SessionExpired when its time is over."""
    one = drive.downloads.get(key)
    if one is None:
        row = await drive.door.row(f"SELECT {_COLUMNS} FROM downloads WHERE key = ?", key[:100])
        if row is None:
            raise NotFound("no such download; it may have expired or been cancelled")
        one = _download(row)
    if one.user != who.user and not who.admin:
        raise NotFound("no such download; it may have expired or been cancelled")
    if one.expires_at <= time.time():
        raise SessionExpired("this download has expired; begin a new one")
    return one


async def newest(drive: Drive, user: str, limit: int) -> list[LiveDownload]:
    """Return the downloads of `user`, those this worker sends and those in rows, the newest change first."""
    rows = await drive.door.rows(
        f"SELECT {_COLUMNS} FROM downloads WHERE user = ? ORDER BY touched_at DESC LIMIT ?", user, limit
    )
    found = {row[0]: _download(row) for row in rows}
    found |= {one.key: one for one in drive.downloads.values() if one.user == user}
    return sorted(found.values(), key=lambda one: -one.touched_at)[:limit]


async def touched_since(drive: Drive, user: str, since: float, limit: int) -> list[LiveDownload]:
    """Return the kept downloads of `user` that changed after `since`, the oldest change first."""
    rows = await drive.door.rows(
        f"SELECT {_COLUMNS} FROM downloads WHERE touched_at > ? AND user = ? ORDER BY touched_at LIMIT ?",
        *(since, user, limit),
    )
    return [_download(row) for row in rows]


def _download(row: tuple[Any, ...]) -> LiveDownload:
    key, user, state, sent, plan, error, touched_at, expires_at = row
    planned = msgspec.msgpack.decode(plan, type=DownloadPlan)
    return LiveDownload(key, user, planned, expires_at, state, sent, error, True, touched_at)


async def content_of(drive: Drive, one: LiveDownload, who: Principal) -> Outgoing:
    """Return the content that the download began with; SessionExpired when it is there no more."""
    view = await nodes.find(drive, one.plan.file_id, who)
    if view.head_revision == one.plan.revision and view.size == one.plan.size:
        return outgoing(view)
    try:
        old = await find_revision(drive, view, one.plan.revision)
    except NotFound:
        old = None
    if old is None or old.size != one.plan.size:
        raise SessionExpired(f"{view.name} was changed meanwhile, and what it was is not kept; begin anew")
    return Outgoing(old.ino, one.plan.name, view.mime_type, old.metadata, view)


async def note(drive: Drive, one: LiveDownload) -> None:
    """Keep how a download stands."""
    one.touched_at = time.time()
    if one.state == "committed":
        one.expires_at = one.touched_at + TOLD_S
    if one.kept:
        await drive.door.write(
            "UPDATE downloads SET state = ?, sent = ?, error = ?, touched_at = ?, expires_at = ? "
            "WHERE key = ?",
            *(one.state, one.sent, one.error, one.touched_at, one.expires_at, one.key),
        )


async def forget(drive: Drive, key: str) -> None:
    """Remove the row of a download and its lock's file."""
    await drive.door.write("DELETE FROM downloads WHERE key = ?", key)
    await asyncio.to_thread((drive.folder / "uploads" / f"{key}.lock").unlink, missing_ok=True)


class Sending:
    """One request's part of the download `one`: says how far it is, and how it ended."""

    def __init__(self, drive: Drive, one: LiveDownload, start: int) -> None:
        self._drive, self._one = drive, one
        self._lock: int | None = None
        self._noted, self._noted_s = start, time.monotonic()
        one.state, one.sent, one.error = "running", start, None
        drive.downloads[one.key] = one

    async def begin(self) -> None:
        """Take the lock of a kept download; several requests may send at a time."""
        if self._one.kept:
            path = self._drive.folder / "uploads" / f"{self._one.key}.lock"
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(BlockingIOError):  # somebody is just looking whether it is alive
                fcntl.flock(self._lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            await note(self._drive, self._one)

    async def sent(self, offset: int) -> None:
        """Tell that all before `offset` was handed to the client."""
        one = self._one
        one.sent, one.touched_at = offset, time.time()
        late = time.monotonic() - self._noted_s > CHECKPOINT_S
        if one.kept and (late or offset - self._noted >= CHECKPOINT_BYTES):
            self._noted, self._noted_s = offset, time.monotonic()
            await note(self._drive, one)

    def verifying(self) -> None:
        """Tell that only the check is left; a row would be written for a moment's sake."""
        self._one.state = "verifying"

    async def end(self, error: BaseException | None, *, whole: bool) -> None:
        """Tell how it ended; what was cut is parked, what may not leave is rolled back."""
        one = self._one
        self._drive.downloads.pop(one.key, None)
        if isinstance(error, (CorruptContent, UnsupportedType)):
            one.state, one.error = "rolled back", str(error)
        elif error is None and whole:
            one.state = "committed"
        else:
            one.state = "parked"
            one.error = str(error) if isinstance(error, RequestError) else "the connection was cut"
        try:
            await note(self._drive, one)
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
