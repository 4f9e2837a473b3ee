"""Asking the upstream's process for the body of a file that is still at its vendor.

Rule: who asks waits a bounded time; the fetching goes on behind them, so that asking again finds it done.
"""

from collections.abc import Awaitable, Callable

from trivet.errors import (
    BeyondBudget,
    BudgetSpent,
    ContentAway,
    Gone,
    NotFound,
    Parked,
    UpstreamError,
    VendorQuotaSpent,
)
from trivet.io.clock import wall_s
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder

WAIT_S = 25.0

Bring = Callable[[int], Awaitable[None]]
_KINDS = {kind.__name__: kind for kind in (BeyondBudget, ContentAway, Gone, NotFound, UpstreamError)}


class AwayFiles:
    """Bodies that the upstream of the drive in `folder` fetches."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._socket = folder.upstream_socket

    async def bring(self, ino: int, *, user: str, queue: bool = True, wait_s: float = WAIT_S) -> None:
        """Return when the body of `ino` is in the banks, on behalf of `user`.

        Raises BudgetSpent when the day's bytes are spoken for (with `queue` the transfer then has a place and
        runs later), ContentAway when it takes longer than `wait_s`, Parked when the vendor does not answer,
        UpstreamError when it can't be asked, VendorQuotaSpent when it lets us do nothing more today.
        """
        wish = {"ino": ino, "user": user, "queue": queue, "wait_s": wait_s}
        try:
            answer = await ask(self._socket, "bring", wish)
        except NotRunning as error:
            raise UpstreamError(
                "the content of this file is at its vendor, and the process that fetches it does not run"
            ) from error
        except Remote as error:
            raise _KINDS.get(error.kind, UpstreamError)(str(error)) from error
        if answer.get("state") == "waiting":
            place = {name: answer[name] for name in ("key", "position", "bytes_left", "resets_at_s")}
            raise BudgetSpent(str(answer["message"]), **place)
        if answer.get("state") == "parked":
            told = {name: answer[name] for name in ("key", "offset", "retry_after_s")}
            raise Parked(str(answer["message"]), **told)
        if answer.get("state") == "spent":
            rest_s = max(1.0, float(answer["resets_at_s"]) - wall_s())
            raise VendorQuotaSpent(str(answer["message"]), retry_after_s=rest_s)
