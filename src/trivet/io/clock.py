"""Clocks: one that never jumps, for waiting and leases; one that tells the time of day, for stamps."""

import time


def steady_s() -> float:
    """Return seconds of a clock that never jumps and counts suspended time."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_ns() -> int:
    """Return nanoseconds since the epoch, as file times want them; order never depends on it."""
    return time.time_ns()


def wall_s() -> float:
    """Return seconds since the epoch."""
    return time.time()
