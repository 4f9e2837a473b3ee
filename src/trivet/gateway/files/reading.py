"""Bytes on their way out: a whole version of a file, held while it is sent.

Rule: what is sent is one version, whatever is written meanwhile; it is let go of when the sending ends.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

from trivet.drive.file_metadata import Content, Sums
from trivet.drive.resources import FileView
from trivet.drive.validation.validator import Validator
from trivet.errors import ContentAway
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.nodes import metadata_of, store_metadata
from trivet.gateway.usage import check_usage
from trivet.volume.interface import Snapshot

PIECE_BYTES = 1 << 20


async def hold(drive: Drive, ino: int, user: str, *, queue: bool = True) -> Snapshot:
    """Hold the file `ino` as it is now; `release` the snapshot's handle in the end.

    A body that is at a vendor is fetched for `user`; BudgetSpent, VendorQuotaSpent, ContentAway or
    UpstreamError if that can't be now. With `queue` it is fetched later in any case.
    """
    snapshot, _ = await hold_or_fetch(drive, ino, user, queue=queue)
    return snapshot


async def hold_or_fetch(drive: Drive, ino: int, user: str, *, queue: bool = True) -> tuple[Snapshot, bool]:
    """Do what `hold` does; return whether the body had to be fetched, too."""
    try:
        return await drive.volume.open_snapshot(ino), False
    except ContentAway:
        check_usage()
        await drive.away.bring(ino, user=user, queue=queue)
    return await drive.volume.open_snapshot(ino), True


async def read_pieces(drive: Drive, snapshot: Snapshot, start: int, stop: int) -> AsyncIterator[bytes]:
    """Yield the bytes [start, stop) of `snapshot`, the next piece fetched while one is sent; then release."""
    fetching: asyncio.Task[bytes] | None = None
    try:
        at = start
        fetching = _fetch(drive, snapshot, at, stop)
        while fetching is not None:
            piece = await fetching
            assert piece, "a snapshot is as long as its attributes say"
            at += len(piece)
            fetching = _fetch(drive, snapshot, at, stop)
            yield piece
    finally:
        # shielded as a whole: a request that is cut is cancelled at every wait, also at those in here
        await asyncio.shield(asyncio.ensure_future(_let_go(drive, snapshot, fetching)))


async def _let_go(drive: Drive, snapshot: Snapshot, fetching: "asyncio.Task[bytes] | None") -> None:
    if fetching is not None:
        fetching.cancel()
        await asyncio.wait([fetching])
    await drive.volume.release(snapshot.handle)


def _fetch(drive: Drive, snapshot: Snapshot, at: int, stop: int) -> "asyncio.Task[bytes] | None":
    if at >= stop:
        return None
    return asyncio.ensure_future(drive.volume.read(snapshot.handle, at, min(PIECE_BYTES, stop - at)))


async def with_sums(drive: Drive, view: FileView) -> FileView:
    """Return `view` with checksums; those of a file that was changed through the mount are taken now."""
    if view.is_folder or view.sums is not None:
        return view
    try:
        snapshot = await drive.volume.open_snapshot(view.ino)
    except ContentAway:  # to know its sums is no reason to fetch it
        return view
    try:
        sums = await _sums_of(drive, snapshot)
    finally:
        await drive.volume.release(snapshot.handle)
    size, mtime_ns = snapshot.attributes.size, snapshot.attributes.mtime_ns
    revision = view.metadata.revision_of(size, mtime_ns)
    data = view.metadata.changed(content=Content(revision, size, mtime_ns, sums))
    await store_metadata(drive, view.ino, data)
    return replace(view, metadata=data, size=size, modified_ns=mtime_ns, head_revision=revision)


async def renewed_sums(drive: Drive, ino: int, version: int) -> Sums | None:
    """Take the checksums of `ino` anew and keep them; None if it is not at `version` any more."""
    snapshot = await drive.volume.open_snapshot(ino)
    try:
        if snapshot.version != version:
            return None
        sums = await _sums_of(drive, snapshot)
    finally:
        await drive.volume.release(snapshot.handle)
    size, mtime_ns = snapshot.attributes.size, snapshot.attributes.mtime_ns
    data = await metadata_of(drive, ino)
    known = data.content_at(size, mtime_ns)
    if known is not None:
        anew = Content(secrets.token_hex(12), size, mtime_ns, sums, by=known.by)
        await store_metadata(drive, ino, data.changed(content=anew))
    return sums


async def _sums_of(drive: Drive, snapshot: Snapshot) -> Sums:
    validator, at, size = Validator("", rule="off"), 0, snapshot.attributes.size
    while at < size:
        piece = await drive.volume.read(snapshot.handle, at, min(PIECE_BYTES, size - at))
        assert piece, "a snapshot is as long as its attributes say"
        await asyncio.to_thread(validator.feed, piece)
        at += len(piece)
    return Sums(**validator.finish().checksums)
