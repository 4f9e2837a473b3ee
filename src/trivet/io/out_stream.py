"""The way out of one connection: bytes leave at once while its socket takes them, else when it has room.

Rule: nothing else ever writes to the socket, so it is known for certain what waits, and nothing overtakes it.
A loop's own transport gathers what is written until its turn ends, then serves one stream after another in no
order; two banks shall have an entry as soon as it is there, and work on it side by side.
Rule: it has a descriptor of its own, closed with the transport's: the peer sees the end when both are.
"""

import asyncio
import contextlib
import os
from collections import deque
from itertools import islice
from typing import Protocol

Bytes = bytes | memoryview

_FULL_BYTES = 64 << 10
_ROOM_BYTES = 16 << 10
_PARTS_AT_ONCE = 64


class OutOwner(Protocol):
    """Whose bytes leave."""

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""

    def resume_writing(self) -> None:
        """There is room again."""

    def abort(self) -> None:
        """Nothing can be written any more."""


class OutStream:
    """What `owner` writes to the socket that is open as `fd`."""

    __slots__ = ("_emptied", "_fd", "_is_full", "_loop", "_owner", "_waiting", "_waiting_bytes")

    def __init__(self, fd: int, owner: OutOwner) -> None:
        self._fd = os.dup(fd)
        self._owner: OutOwner | None = owner
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Bytes] = deque()
        self._waiting_bytes = 0
        self._is_full = False
        self._emptied: asyncio.Future[None] | None = None

    def write(self, *parts: Bytes) -> None:
        """Send `parts` behind all that was written before; they must not change until they have left."""
        if self._fd < 0:
            return
        if self._waiting:
            self._waiting.extend(parts)
            self._waiting_bytes += sum(map(len, parts))
        else:
            written = self._hand_over(parts)
            if self._fd < 0:
                return
            for part in parts:
                if written < len(part):
                    self._waiting.append(memoryview(part)[written:])
                    self._waiting_bytes += len(part) - written
                written = max(written - len(part), 0)
            if not self._waiting:
                return
            self._loop.add_writer(self._fd, self._go_on)
        if self._waiting_bytes > _FULL_BYTES and not self._is_full:
            self._is_full = True
            assert self._owner is not None
            self._owner.pause_writing()

    def _hand_over(self, parts: tuple[Bytes, ...]) -> int:
        """Give the system what it takes of `parts`; return how many bytes that is."""
        try:
            return os.write(self._fd, parts[0]) if len(parts) == 1 else os.writev(self._fd, parts)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            owner = self._owner
            self.close()
            assert owner is not None
            owner.abort()
            return 0

    def _go_on(self) -> None:
        waiting = self._waiting
        written = self._hand_over(tuple(islice(waiting, _PARTS_AT_ONCE)))
        self._waiting_bytes -= written
        while written and written >= len(waiting[0]):
            written -= len(waiting.popleft())
        if written:
            waiting[0] = memoryview(waiting[0])[written:]
        if self._is_full and self._waiting_bytes <= _ROOM_BYTES:
            self._is_full = False
            assert self._owner is not None
            self._owner.resume_writing()
        if not self._waiting and self._fd >= 0:
            self._loop.remove_writer(self._fd)
            self._tell_emptied()

    async def emptied(self) -> None:
        """Wait until everything has left, or never will."""
        if self._waiting:
            if self._emptied is None:
                self._emptied = self._loop.create_future()
            await asyncio.shield(self._emptied)

    def close(self) -> None:
        """Let go of the socket; what waits is forgotten."""
        if self._fd < 0:
            return
        if self._waiting:
            self._loop.remove_writer(self._fd)
            self._waiting = deque()
            self._waiting_bytes = 0
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1
        self._owner = None
        self._is_full = False
        self._tell_emptied()

    def _tell_emptied(self) -> None:
        emptied, self._emptied = self._emptied, None
        if emptied is not None and not emptied.done():
            emptied.set_result(None)
