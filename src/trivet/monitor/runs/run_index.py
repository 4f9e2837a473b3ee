"""Which runs a sealed segment holds: a file of sorted 64-bit hashes beside it.

Rule: the index only tells where to look; that an event is there is told by the segment itself.
Rule: light: a program that emits asks it at every flush, and loads nothing for that.
"""

import hashlib
import mmap
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path


def run_hash(run: str) -> int:
    """The 64 bits that stand for a run."""
    return int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "little")


def index_name(segment_name: str) -> str:
    """The name of the index file of a segment."""
    return segment_name.removesuffix(".parquet") + ".runs"


def may_hold(folder: Path, segment_name: str, runs: Iterable[str]) -> list[str]:
    """Those of `runs` that the segment holds (one in 10^13 is named though it does not)."""
    path = folder / index_name(segment_name)
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
        view.cast("Q") as hashes,
    ):
        return [run for run in runs if _has(hashes, run_hash(run))]


def _has(hashes: "memoryview[int]", wanted: int) -> bool:
    place = bisect_left(hashes, wanted)
    return place < len(hashes) and hashes[place] == wanted
