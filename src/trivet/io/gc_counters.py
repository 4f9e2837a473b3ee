"""What Python's collector has done in a process of ours, for whoever looks at the process from outside.

Rule: a process writes into a nameless file in memory, which others find among its open files: nothing is
left behind, it costs nothing while nothing is collected, and it tells also of a process that hangs.
Rule: figures are those of the last collection; `traced_bytes` is -1 unless tracemalloc runs.
"""

import contextlib
import gc
import mmap
import os
import struct
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

_NAME = "trivet-gc"
_LAYOUT = struct.Struct("<8s3Qdq")
_MAGIC = b"trivetgc"
_LINK = f"/memfd:{_NAME} (deleted)"
#: The file is made at the start, so its number is low; a process with many files is not searched whole.
_LOOK_AT = 64


@dataclass(frozen=True, slots=True)
class Collections:
    """How often each generation was collected, the seconds that took, and the traced heap if it is traced."""

    counts: tuple[int, int, int]
    seconds: float
    traced_bytes: int | None


class _Published:
    """This process's own counters."""

    def __init__(self) -> None:
        number = os.memfd_create(_NAME)
        os.truncate(number, mmap.PAGESIZE)
        self._page = mmap.mmap(number, mmap.PAGESIZE)
        self._counts = [one["collections"] for one in gc.get_stats()]
        self._seconds = 0.0
        self._began = time.perf_counter()
        self._write()

    def collected(self, phase: str, info: dict[str, int]) -> None:
        """Count one collection; called by the collector."""
        if phase == "start":
            self._began = time.perf_counter()
            return
        self._seconds += time.perf_counter() - self._began
        self._counts[info["generation"]] += 1
        self._write()

    def _write(self) -> None:
        traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else -1
        _LAYOUT.pack_into(self._page, 0, _MAGIC, *self._counts, self._seconds, traced)


def publish() -> None:
    """Let others see from now on what the collector does in this process."""
    gc.callbacks.append(_Published().collected)


def find(pid: int) -> Path | None:
    """Return where process `pid` publishes its counters, None when it does not, or may not be looked into."""
    folder = Path(f"/proc/{pid}/fd")
    with contextlib.suppress(OSError):
        for name in sorted(map(int, os.listdir(folder)))[:_LOOK_AT]:
            with contextlib.suppress(OSError):
                if os.readlink(folder / str(name)) == _LINK:
                    return folder / str(name)
    return None


def read(place: Path) -> Collections | None:
    """Return the counters at `place`, None when the process is gone."""
    try:
        with place.open("rb") as file:
            magic, *counts, seconds, traced = _LAYOUT.unpack(file.read(_LAYOUT.size))
    except (OSError, struct.error):
        return None
    if magic != _MAGIC:
        return None
    return Collections((counts[0], counts[1], counts[2]), seconds, None if traced < 0 else traced)
