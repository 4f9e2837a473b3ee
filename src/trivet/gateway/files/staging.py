"""Bytes on their way in: a staged file that nobody sees, hashed and checked while it is written.

Rule: at most two pieces of a body are in memory: one comes in while one is written and hashed side by side,
of a few bodies at a time.
Rule: what `held` counts was handed to two banks; the hashes are of exactly those bytes.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from trivet.drive.validation.validator import Content as CheckedContent
from trivet.errors import PayloadTooLarge
from trivet.gateway.content_check import ContentCheck
from trivet.gateway.files.drive import FILE_MODE, Drive
from trivet.volume.interface import AttributeChanges

PIECE_BYTES = 256 << 10
#: How often what is held is handed to two banks while a long body comes in.
CHECKPOINT_BYTES = 32 << 20
CHECKPOINT_S = 5.0


#: What a staged file turned out to be, and its mtime.
Finished = tuple[CheckedContent, int]


class OnHeld(Protocol):
    """Told how many bytes are safe now."""

    async def __call__(self, held: int) -> None: ...


@asynccontextmanager
async def made(drive: Drive, name: str) -> AsyncIterator[tuple[int, int]]:
    """Make an empty staged file called `name`; yield (inode, handle to write with)."""
    attributes, handle = await drive.volume.create(drive.uploads_ino, name.encode(), FILE_MODE, drive.caller)
    async with _released(drive, handle):
        yield attributes.ino, handle


@asynccontextmanager
async def opened(drive: Drive, ino: int) -> AsyncIterator[int]:
    """Yield a handle to write to the staged file `ino` with."""
    handle = await drive.volume.open(ino, writing=True, truncate=False, sync=False)
    async with _released(drive, handle):
        yield handle


@asynccontextmanager
async def _released(drive: Drive, handle: int) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await asyncio.shield(asyncio.ensure_future(drive.volume.release(handle)))


async def write_body(
    drive: Drive,
    handle: int,
    check: ContentCheck,
    body: AsyncIterable[bytes],
    offset: int,
    on_held: OnHeld | None,
) -> int:
    """Write `body` at `offset` of the staged file `handle`, feeding `check`; return how much is held.

    Whatever ends the body, what was written up to then is told to `on_held`; then the error goes on.
    """
    start = held = safe = offset
    safe_s = time.monotonic()
    taking: asyncio.Task[int] | None = None
    try:
        async for piece in in_pieces(body):
            if taking is not None:
                held = await asyncio.shield(taking)
            if held - safe >= CHECKPOINT_BYTES or time.monotonic() - safe_s > CHECKPOINT_S:
                await _make_safe(drive, handle, held, on_held)
                safe, safe_s = held, time.monotonic()
            taking = asyncio.create_task(_take(drive, handle, check, start, piece))
            start += len(piece)
        if taking is not None:
            held = await asyncio.shield(taking)
    finally:
        # shielded as a whole: a request that is cut is cancelled at every wait, also at those in here
        await asyncio.shield(asyncio.ensure_future(_end(drive, handle, taking, held, safe, on_held)))
    return held


async def _take(drive: Drive, handle: int, check: ContentCheck, offset: int, piece: bytes) -> int:
    """Write and hash one piece side by side; return where it ends."""
    async with drive.writing:
        writing = asyncio.ensure_future(_write(drive, handle, offset, piece))
        try:
            await check.feed(piece)
        finally:
            await asyncio.shield(writing)
    return offset + len(piece)


async def _end(
    drive: Drive,
    handle: int,
    taking: asyncio.Task[int] | None,
    held: int,
    safe: int,
    on_held: OnHeld | None,
) -> None:
    """Wait for the piece that is being taken, and make safe what is `held` and not `safe`."""
    if taking is not None:
        await asyncio.wait([taking])
        if not taking.cancelled() and taking.exception() is None:
            held = taking.result()
    if held > safe:
        await _make_safe(drive, handle, held, on_held)


async def _write(drive: Drive, handle: int, offset: int, piece: bytes) -> None:
    done = 0
    while done < len(piece):
        done += await drive.volume.write(handle, offset + done, piece[done:] if done else piece)


async def _make_safe(drive: Drive, handle: int, held: int, on_held: OnHeld | None) -> None:
    await drive.volume.flush(handle)
    if on_held is not None:
        await on_held(held)


async def in_pieces(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of `body` in pieces of 256 KiB; what came before it broke off comes, too."""
    held: list[bytes] = []
    size = 0
    iterator = aiter(body)
    failure: BaseException | None = None
    while failure is None:
        try:
            data = await anext(iterator)
        except StopAsyncIteration:
            break
        except Exception as error:  # noqa: BLE001 - raised again below, behind the bytes that came before it
            failure = error
            break
        held.append(data)
        size += len(data)
        if size >= PIECE_BYTES:
            joined = b"".join(held)
            whole = len(joined) - len(joined) % PIECE_BYTES
            for at in range(0, whole, PIECE_BYTES):
                yield joined[at : at + PIECE_BYTES]
            held, size = [joined[whole:]], len(joined) - whole
    if size:
        yield b"".join(held)
    if failure is not None:
        raise failure


async def bounded(body: AsyncIterable[bytes], limit: int, skip: int = 0) -> AsyncIterator[bytes]:
    """Yield `body` without its first `skip` bytes; PayloadTooLarge when more than `limit` bytes follow."""
    seen = 0
    async for data in body:
        fresh = data[skip:] if skip else data
        skip = max(0, skip - len(data))
        seen += len(fresh)
        if seen > limit:
            raise PayloadTooLarge(f"more than the {limit:,} bytes that were announced or are allowed")
        if fresh:
            yield fresh


async def feed_staged(drive: Drive, ino: int, check: ContentCheck, size: int) -> None:
    """Feed `check` with the first `size` bytes of the staged file, as another process wrote them."""
    handle = await drive.volume.open(ino, writing=False, truncate=False, sync=False)
    try:
        at = 0
        while at < size:
            piece = await drive.volume.read(handle, at, min(PIECE_BYTES, size - at))
            assert piece, "a staged file is as long as its row says"
            await check.feed(piece)
            at += len(piece)
    finally:
        await drive.volume.release(handle)


async def finish(drive: Drive, ino: int, check: ContentCheck, modified_ns: int | None) -> Finished:
    """Return what the staged file turned out to be and its mtime, set to `modified_ns` if that is given."""
    content = await check.finish()
    changes = AttributeChanges(size=content.size_bytes, mtime_ns=modified_ns)
    attributes = await drive.volume.getattr(ino)
    if attributes.size != content.size_bytes or modified_ns is not None:
        attributes = await drive.volume.setattr(ino, changes)
    return content, attributes.mtime_ns
