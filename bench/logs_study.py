"""Should a line be parsed by the thread that reads it, or by the one that counts?

Two threads and a bounded queue. Either the reader puts records into the queue (parsed), or it puts lines and
the consumer parses them; and both again with whole blocks in the queue instead of single lines, with the
regular expression and with the compiled kernel, which lets go of the interpreter's lock.
"""

import queue
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from trivet.insight.logs.engine_kernel import KernelEngine
from trivet.insight.logs.generator import LineMaker, Site
from trivet.wire.access_log import parse_combined, section_of, split_lines

LINES = 200_000
_BLOCK_LINES = 10_000
_END = object()


def _count(sections: Counter[bytes], record: Any) -> None:
    if record is not None:
        sections[section_of(record.target)] += 1


def _run(produce: Callable[[Callable[[Any], None]], None], consume: Callable[[Any], None]) -> float:
    """Return how long one thread that produces and one that consumes take."""
    waiting: queue.Queue[Any] = queue.Queue(10_000)

    def reader() -> None:
        produce(waiting.put)
        waiting.put(_END)

    began_s = time.monotonic()
    thread = threading.Thread(target=reader)
    thread.start()
    while (item := waiting.get()) is not _END:
        consume(item)
    thread.join()
    return time.monotonic() - began_s


def study(turns: int) -> None:
    """Print lines a second for every arrangement."""
    maker = LineMaker(Site(), np.random.default_rng(1))
    blocks = [maker.batch(_BLOCK_LINES, "03/Jun/2024:10:00:00 +0000") for _ in range(LINES // _BLOCK_LINES)]
    sections: Counter[bytes] = Counter()
    engine = KernelEngine(1 << 30)

    def lines(put: Callable[[Any], None]) -> None:
        for block in blocks:
            for line in split_lines(block):
                put(line)

    def records(put: Callable[[Any], None]) -> None:
        for block in blocks:
            for line in split_lines(block):
                put(parse_combined(line))

    def record_lists(put: Callable[[Any], None]) -> None:
        for block in blocks:
            put([parse_combined(line) for line in split_lines(block)])

    def whole(put: Callable[[Any], None]) -> None:
        for block in blocks:
            put(block)

    def count_all(items: list[Any]) -> None:
        for record in items:
            _count(sections, record)

    ways: dict[str, tuple[Callable[[Callable[[Any], None]], None], Callable[[Any], None]]] = {
        "reader parses, a record at a time": (records, lambda record: _count(sections, record)),
        "consumer parses, a line at a time": (lines, lambda line: _count(sections, parse_combined(line))),
        "reader parses, a block at a time": (record_lists, count_all),
        "consumer parses, a block at a time": (
            whole,
            lambda b: count_all([parse_combined(x) for x in split_lines(b)]),
        ),
        "kernel in the consumer, a block at a time": (whole, lambda block: engine.feed(block, 0)),
    }
    engine.feed(blocks[0], 0)
    for name, (produce, consume) in ways.items():
        rates = [LINES / _run(produce, consume) for _ in range(turns)]
        print(f"{name:45} {statistics.median(rates):10,.0f} lines/s")
