"""Processors: on which of them a process runs.

Rule: what a process may use is only ever halved, never named by number: whoever started it has chosen.
"""

import os


def run_apart(place: int) -> None:
    """Let this process, and threads it starts later, use only every second processor, by its `place`.

    Neighbours in a row of places then never share a processor. Left alone, Linux wakes both ends of a unix
    socket on one processor, and banks that could work side by side answered one behind the other while the
    second processor was idle. With a single processor nothing changes.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) > 1:
        os.sched_setaffinity(0, usable[place % 2 :: 2])
