"""What was just replaced, held for a moment: a kernel that has looked its name up opens it only now.

Rule: a program that opens a path while files are renamed over it, or replaced by clients, gets one of them
whole; between the kernel's lookup and its opening, what it found must not go away.
"""

import asyncio
from collections import deque

from trivet.keeper.submitting import Submitter
from trivet.volume.file_numbers import OPENED_LATE_S
from trivet.volume.namespace import Namespace

HELD_MAX = 1024


class Parting:
    """Holds inodes for OPENED_LATE_S, the last HELD_MAX of them; `close` it."""

    def __init__(self, space: Namespace, submitter: Submitter) -> None:
        self._space = space
        self._submitter = submitter
        self._held: deque[tuple[float, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def hold(self, ino: int) -> None:
        """Let an inode live on for a moment, also if its last name goes now."""
        if not self._space.inode(ino).is_regular:
            return
        if len(self._held) >= HELD_MAX:
            self._let_go()
        handle = self._space.open_files.open(ino, writing=False, sync=False)
        self._held.append((self._loop.time() + OPENED_LATE_S, handle))
        if self._timer is None:
            self._timer = self._loop.call_later(OPENED_LATE_S, self._let_old_go)

    def close(self) -> None:
        """Let go of everything."""
        if self._timer is not None:
            self._timer.cancel()
        while self._held:
            self._let_go()

    def _let_old_go(self) -> None:
        now_s = self._loop.time()
        while self._held and self._held[0][0] <= now_s:
            self._let_go()
        if self._space.has_changes:
            self._submitter.ride()
        self._timer = None
        if self._held:
            self._timer = self._loop.call_later(self._held[0][0] - now_s, self._let_old_go)

    def _let_go(self) -> None:
        self._space.release(self._held.popleft()[1])
