"""How long a reply is waited for: a time of its own, and beyond it as long as nobody else would do.

Rule: it leaves no cycles behind once cancelled, like the links it serves.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from trivet.io.clock import steady_s

PATIENCE_S = 30.0
_LOOK_AGAIN_S = 0.05


def never() -> bool:
    """Need no reply any longer than its time."""
    return False


class ReplyDeadline:
    """Gives `late` to `future` `timeout_s` from now, later while `is_needed` says so, but by PATIENCE_S."""

    __slots__ = ("_asked_s", "_future", "_is_needed", "_late", "_timer")

    def __init__(
        self,
        future: asyncio.Future[Any],
        timeout_s: float,
        is_needed: Callable[[], bool],
        late: Exception,
    ) -> None:
        self._future = future
        self._is_needed = is_needed
        self._late = late
        self._asked_s = steady_s()
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._overdue)

    def cancel(self) -> None:
        """Forget it."""
        self._timer.cancel()

    def _overdue(self) -> None:
        if self._future.done():
            return
        if self._is_needed() and steady_s() - self._asked_s < PATIENCE_S:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._overdue)
        else:
            self._future.set_exception(self._late)
