"""What is told of bytes that servers are filled with, and of servers that begin anew.

Rule: as in `control_messages.py`: a field is added, never renamed.
"""

import msgspec


class Refill(msgspec.Struct, frozen=True):
    """Bodies being written to `servers` that lack them; `left_s` is None while nobody can tell.

    No more than `limit_bytes_s` are written, over all servers.
    """

    done_bytes: int
    total_bytes: int
    bytes_s: float = 0.0
    left_s: float | None = None
    servers: list[int] = []
    limit_bytes_s: int = 0


class RefillLimit(msgspec.Struct, frozen=True):
    """How many bytes a second are written to servers that lack them."""

    limit_bytes_s: int


class Replaced(msgspec.Struct, frozen=True):
    """A server that began (anew) in the empty `folder`; what it had before, if anything, is `kept` there."""

    port: int
    folder: str
    kept: str | None = None


class Replacement(msgspec.Struct, frozen=True):
    """The servers that were replaced, or added, together."""

    servers: list[Replaced]


class Filled(msgspec.Struct, frozen=True):
    """What `bank replace` and `bank add` tell: `done` once `servers` hold what is theirs, after `took_s`."""

    servers: list[Replaced]
    done: bool
    took_s: float = 0.0
