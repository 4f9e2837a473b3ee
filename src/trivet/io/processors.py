"""Processors: on which of them a process runs.

Rule: what a process may use is only ever halved, never named by number: whoever started it has chosen.
"""

import ctypes
import os

_libc = ctypes.CDLL(None)
#: Return the number of the processor that this thread runs on now.
current_processor: "ctypes._NamedFuncPointer" = _libc.sched_getcpu


def processors_of(pid: int) -> frozenset[int]:
    """Return the processors that a process of this machine may use; none if there is no such process."""
    try:
        return frozenset(os.sched_getaffinity(pid))
    except OSError:
        return frozenset()


def run_apart(place: int) -> None:
    """Let this process, and threads it starts later, use only every second processor, by its `place`.

    Neighbours in a row of places then never share a processor. Left alone, Linux wakes both ends of a unix
    socket on one processor, and banks that could work side by side answered one behind the other while the
    second processor was idle. With a single processor nothing changes.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) > 1:
        os.sched_setaffinity(0, usable[place % 2 :: 2])
