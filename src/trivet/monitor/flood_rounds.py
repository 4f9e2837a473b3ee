"""Blocks of a log read in rounds by several threads, each round handed on in the log's order.

Rule: a round is bounded in bytes, so memory is; between rounds no thread holds anything.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from trivet.insight.arrival_builder import Batch
from trivet.insight.arrival_kernel import ArrivalScan, joined
from trivet.io.log_files import BLOCK_BYTES

_THREADS = 2
#: blocks being read or waiting for a thread
_BLOCKS_AHEAD = 4
#: enough that handing on costs little beside reading
_MOST_ROUND_BYTES = 256 << 20


class _Pool:
    """Threads that read blocks, each with a scan of its own."""

    def __init__(self, pool: ThreadPoolExecutor, dialect: int, round_bytes: int) -> None:
        self.scans = [ArrivalScan(round_bytes) for _ in range(_THREADS)]
        self._pool, self._dialect = pool, dialect
        self._idle = list(self.scans)
        self._ahead = threading.BoundedSemaphore(_BLOCKS_AHEAD)
        self._pending: list[Future[None]] = []

    def submit(self, number: int, block: bytes) -> None:
        """Have the `block` with this `number` read; waits while enough others are."""
        self._ahead.acquire()
        self._pending.append(self._pool.submit(self._read, number, block))

    def _read(self, number: int, block: bytes) -> None:
        scan = self._idle.pop()
        try:
            scan.feed(number, block, self._dialect)
        finally:
            self._idle.append(scan)
            self._ahead.release()

    def wait(self) -> None:
        """Wait for all blocks; raises what went wrong in any."""
        for future in self._pending:
            future.result()
        self._pending.clear()


def rounds(blocks: Iterator[bytes], dialect: int, round_bytes: int) -> Iterator[tuple[Batch, int]]:
    """Yield the requests in `blocks` of lines in `dialect`, and how many lines held them, round by round.

    A round is about `round_bytes` of lines, at least one block. Line numbers run on through the rounds.
    """
    most = max(BLOCK_BYTES, min(round_bytes, _MOST_ROUND_BYTES))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="flood-kernel") as threads:
        # a block may be a little longer than BLOCK_BYTES, and one scan may get all blocks of a round
        pool = _Pool(threads, dialect, most + 2 * BLOCK_BYTES)
        read_bytes, lines = 0, 0
        for number, block in enumerate(blocks):
            pool.submit(number, block)
            read_bytes += len(block)
            if read_bytes >= most:
                pool.wait()
                batch, more = joined(pool.scans, lines + 1)
                yield batch, more
                read_bytes, lines = 0, lines + more
        pool.wait()
        if read_bytes:
            yield joined(pool.scans, lines + 1)
