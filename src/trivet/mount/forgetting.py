"""Making the kernel forget what somebody else changed: attributes and pages of inodes, names in directories.

Rule: the kernel may make us wait for a request that our own loop must answer, so a thread tells it, never
the loop; who waits for that thread is in a bounded queue.
Rule: what the kernel never knew is fine; when it does not take it in time that is logged, nobody hangs.
"""

import asyncio
import errno
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import pyfuse3

log = logging.getLogger(__name__)

#: Is handed the kernel's numbers whose attributes and pages, and the (parent, name)s, it is to forget.
ForgetSoon = Callable[[Collection[int], Collection[tuple[int, bytes]]], None]

WAITING_MAX = 256
TIMEOUT_S = 5.0


class Forgetting:
    """One thread that tells the kernel, in the order it is asked to."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forgetting")
        self._places = asyncio.Semaphore(WAITING_MAX)
        self._soon: set[asyncio.Task[None]] = set()

    def forget_soon(self, inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
        """Begin to `forget`: whose request is about them holds the directory until it is answered."""
        task = asyncio.create_task(self.forget(inodes, names))
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)

    async def forget(self, inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
        """Return when the kernel has forgotten, or after TIMEOUT_S."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._places:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, _tell_kernel, tuple(inodes), tuple(names))
        except TimeoutError:
            log.warning("the kernel did not forget %s inodes and %s names in time", len(inodes), len(names))

    def close(self) -> None:
        """Tell the kernel nothing more."""
        for task in self._soon:
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _tell_kernel(inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
    for parent, name in names:
        _tell(pyfuse3.invalidate_entry, pyfuse3.InodeT(parent), pyfuse3.FileNameT(name))
    for ino in inodes:
        _tell(pyfuse3.invalidate_inode, pyfuse3.InodeT(ino))


def _tell(how: object, *what: object) -> None:
    try:
        how(*what)  # type: ignore[operator]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENOTCONN, errno.EBADF):
            log.warning("the kernel would not forget: %s", error)
