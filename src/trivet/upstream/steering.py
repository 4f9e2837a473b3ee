"""What people order: a transfer goes on or is given up.

Rule: only downloads are given up; what was changed here is kept back at most, and never lost.
"""

from trivet.errors import Conflict, NotFound
from trivet.upstream.transfers import Transfer
from trivet.upstream.work import UpstreamWork

_OVER = ("done", "failed", "rolled back")


async def find(works: list[UpstreamWork], key: str) -> tuple[UpstreamWork, Transfer]:
    """Return the transfer `key` and whose it is; NotFound if there is none."""
    for work in works:
        found = await work.transfers.by_key(key)
        if found is not None:
            return work, found
    raise NotFound(f"no such transfer of a vendor: {key[:40]}; `trivet transfers` lists them")


async def resume(work: UpstreamWork, transfer: Transfer) -> None:
    """Let a transfer that is parked or kept back go on now."""
    _check_open(transfer)
    work.up.vendor.breaker.hurry(work.up.now_s())
    if transfer.direction == "download":
        await work.fetching.take_up(transfer)
    else:
        await work.outbox.release(transfer.id, work.up.now_s())
        work.up.wake.set()


async def cancel(work: UpstreamWork, transfer: Transfer, by: str) -> None:
    """Give a download up; keep an upload back until it is resumed or the file changes again."""
    _check_open(transfer)
    if transfer.direction == "download":
        await work.fetching.cancel(transfer, f"cancelled by {by}")
        return
    await work.keep_back(transfer.id)
    why = f"kept back by {by}; resume sends it"
    await work.transfers.end(transfer, "parked", None, why, work.up.now_s())


def _check_open(transfer: Transfer) -> None:
    if transfer.state in _OVER:
        raise Conflict(f"{transfer.name}: this transfer is over ({transfer.state}); ask for the file again")
