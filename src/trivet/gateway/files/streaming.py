"""The stream of a download: read, checked beside the sending, told of, and let go of whatever happens.

Rule: the last piece leaves when all before it, and it, have passed their check.
Rule: at most three pieces are in memory: one is fetched, one is checked, one is sent.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from trivet.errors import CorruptContent, TrivetError
from trivet.gateway.files.downloads import Sending
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.leaving import LeavingCheck, Proof
from trivet.gateway.files.reading import read_pieces
from trivet.gateway.waypoints import reach
from trivet.volume.interface import Snapshot

log = logging.getLogger(__name__)


async def stream(
    drive: Drive,
    snapshot: Snapshot,
    start: int,
    stop: int,
    proof: Proof,
    check: LeavingCheck | None,
    sending: Sending,
) -> AsyncIterator[bytes]:
    """Yield the bytes [start, stop) of `snapshot`; `check`, fed with all before `start`, judges the whole.

    Once begun it releases `snapshot`, closes `check` and ends `sending`, which has begun.
    """
    pieces = read_pieces(drive, snapshot, start, stop)
    checking: asyncio.Future[None] | None = None
    held, at, whole = b"", start, False
    error: BaseException | None = None
    try:
        reach("transfer_start")
        async for piece in pieces:
            if check is not None:
                checking = asyncio.ensure_future(check.feed(piece))
            if held:
                yield held
                at += len(held)
                await sending.sent(at)
            if checking is not None:
                await asyncio.shield(checking)
            held = piece
        reach("transfer_end", "verify_start")
        sending.verifying()
        if check is not None:
            _insist(proof, await check.finish())
        reach("verify_end")
        yield held
        reach("publish")
        await sending.sent(stop)
        whole = True
    except (TrivetError, asyncio.CancelledError) as raised:
        error = raised
        raise
    finally:
        ending = asyncio.ensure_future(_end(pieces, checking, check, sending, error, whole=whole))
        await asyncio.shield(ending)


def _insist(before: Proof, now: Proof) -> None:
    if before.sums != now.sums:
        raise CorruptContent("the checksum that was told was not that of the content; ask again")


async def _end(
    pieces: AsyncIterator[bytes],
    checking: "asyncio.Future[None] | None",
    check: LeavingCheck | None,
    sending: Sending,
    error: BaseException | None,
    *,
    whole: bool,
) -> None:
    if checking is not None:
        await asyncio.wait([checking])
        checking.exception()  # it was raised already, or nobody waits for the rest any more
    if check is not None:
        check.close()
    await pieces.aclose()  # type: ignore[attr-defined]
    try:
        await sending.end(error, whole=whole)
    except TrivetError as failure:
        log.warning("a download's end could not be noted: %s", failure)
