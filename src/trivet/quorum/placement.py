"""On which of a bank's servers a blob lies: rendezvous hashing of its name over the servers' ports.

Rule: where a blob belongs follows CONFIG (all servers), where it goes meanwhile follows health; each server
that comes or goes moves only the blobs that it wins or had.
"""

import struct
from collections.abc import Container, Sequence

from blake3 import blake3

_PAIR = struct.Struct(">QI")


def _score(name: int, port: int) -> bytes:
    return blake3(_PAIR.pack(name, port)).digest(length=8)


def ranking(name: int, ports: Sequence[int]) -> list[int]:
    """Return `ports` in the order in which they would take the blob `name`."""
    return sorted(ports, key=lambda port: _score(name, port), reverse=True)


def belongs(name: int, ports: Sequence[int]) -> int:
    """Return the port of the server where the blob `name` belongs, out of all `ports` of a bank."""
    if len(ports) == 1:
        return ports[0]
    return max(ports, key=lambda port: _score(name, port))


def goes(name: int, ports: Sequence[int], healthy: Container[int]) -> int | None:
    """Return the port where the blob `name` is put now, None when no server of the bank is healthy."""
    for port in ranking(name, ports):
        if port in healthy:
            return port
    return None
