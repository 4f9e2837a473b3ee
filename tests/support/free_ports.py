"""Ports that nobody listens on, for servers of tests.

Rule: a port is free until somebody binds it, so each process of tests, of any checkout, has a range of its
own while it lives, and goes round in it: two can't choose the same, nor one the same twice before it is
bound. All ranges lie below the one outgoing connections take.
"""

import functools
import itertools
import socket
from collections.abc import Iterator

_FIRST, _COUNT, _RANGES = 10_000, 1120, 20
_STEP = 16


@functools.cache
def _own_range() -> tuple[Iterator[int], socket.socket]:
    """Return (every sixteenth port, round and round; the socket whose name says that they are taken)."""
    claim = socket.socket(socket.AF_UNIX)
    for number in range(_RANGES):
        try:
            claim.bind(f"\0trivet-tests-ports-{number}")
        except OSError:
            continue
        first = _FIRST + _COUNT * number
        return itertools.cycle(range(first, first + _COUNT, _STEP)), claim
    raise AssertionError(f"{_RANGES} processes choose ports for tests at once; end some of them")


def _free_base(servers: int) -> int:
    bases, _ = _own_range()
    return next(base for base in bases if all(is_free(base + index) for index in range(servers)))


def free_port() -> int:
    """Return a free port."""
    return _free_base(1)


def free_bases(servers: int = 1) -> list[int]:
    """Return three base ports in rising order, each with `servers` free ports (at most 16)."""
    return sorted(_free_base(servers) for _ in range(3))


def is_free(port: int) -> bool:
    """Tell whether nobody listens on `port` of this machine's loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
