"""Ports that nobody listens on, for servers of tests.

Rule: tests run in two processes at once, and a port is free until somebody binds it: each process has a range
of its own, so that two can never choose the same. All lie below the range outgoing connections take.
"""

import os
import random
import socket

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_FIRST, _COUNT = 10_000 + 5_600 * _WORKER, 5_600
_STEP = 16


def free_port() -> int:
    """Return a free port."""
    while True:
        port = random.SystemRandom().randrange(_FIRST, _FIRST + _COUNT)
        if is_free(port):
            return port


def free_bases(servers: int = 1) -> list[int]:
    """Return three base ports in rising order, each with `servers` free ports (at most 16)."""
    bases: list[int] = []
    while len(bases) < 3:
        base = random.SystemRandom().randrange(_FIRST, _FIRST + _COUNT, _STEP)
        if base not in bases and all(is_free(base + index) for index in range(servers)):
            bases.append(base)
    return sorted(bases)


def is_free(port: int) -> bool:
    """Tell whether nobody listens on `port` of this machine's loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
