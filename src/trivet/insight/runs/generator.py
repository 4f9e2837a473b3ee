"""Test runs made up by dice, in the ranges that the first analysis of test runs used.

Rule: the same seed gives the same table on every machine.
Rule: the numbers are whole; the first analysis drew them as minutes, a reader takes them as seconds
unless told `--unit min`.
"""

import numpy as np

from trivet.insight.runs.event_table import SECOND_NS, Dimension, EventTable
from trivet.insight.runs.phases import WAYPOINTS

DEVICE_GROUP = "device_group_1"

#: How long after the waypoint before it each one comes: from, to (both included). `request` comes at
#: 100 a run plus 0 to 20; flash, boot and test start with the end of what was before them.
_STEPS = {
    "queue_start": (1, 2),
    "queue_end": (1, 5),
    "flash_start": (0, 0),
    "flash_end": (10, 20),
    "boot_start": (0, 0),
    "boot_end": (5, 10),
    "test_start": (0, 0),
    "test_end": (20, 40),
    "publish": (5, 5),
}
_SPACING, _JITTER = 100, 20

#: Received when it was emitted; every other event is received 1 later.
_RECEIVED_AT_ONCE = ("queue_start", "publish")


def generate(runs: int, rng: np.random.Generator) -> EventTable:
    """A table of `runs` test runs of ten events each, run after run in the order of emission."""
    steps = np.empty((runs, len(WAYPOINTS)), np.int64)
    steps[:, 0] = np.arange(runs) * _SPACING + rng.integers(0, _JITTER, runs, endpoint=True)
    for column, (low, high) in enumerate((_STEPS[name] for name in WAYPOINTS[1:]), start=1):
        steps[:, column] = rng.integers(low, high, runs, endpoint=True)
    emit = np.cumsum(steps, axis=1)
    delay = np.array([0 if name in _RECEIVED_AT_ONCE else 1 for name in WAYPOINTS])
    everyone = np.arange(runs, dtype=np.int32)
    return EventTable(
        run_ids=[str(number) for number in range(runs)],
        names=WAYPOINTS,
        run=np.repeat(everyone, len(WAYPOINTS)),
        name=np.tile(np.arange(len(WAYPOINTS), dtype=np.int16), runs),
        emit=emit.ravel() * SECOND_NS,
        receive=(emit + delay).ravel() * SECOND_NS,
        dimensions={"device_group": Dimension([DEVICE_GROUP], everyone, np.zeros(runs, np.int32))},
    )
