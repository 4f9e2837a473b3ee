"""Which blobs of a bank must move to the server where they belong, after it came back.

Rule: it is planned from what lies where: a move that was interrupted is seen again, and there is nothing to
remember of it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trivet.quorum.placement import belongs


@dataclass(frozen=True, slots=True)
class Move:
    """A blob that belongs on the server at `home`, where it `is_there` or not; it goes from `strays`."""

    name: int
    home: int
    is_there: bool
    strays: tuple[int, ...]


def move_of(name: int, holders: Collection[int], ports: Sequence[int]) -> Move | None:
    """Return the move of the blob `name`, which the servers at `holders` have; None if it lies right.

    `ports` are those of its bank's servers that blobs belong on.
    """
    home = belongs(name, ports)
    strays = tuple(port for port in holders if port != home)
    return Move(name, home, home in holders, strays) if strays else None
