"""Holders: which directories hold the names of each inode, so that a path is found from its end.

Rule: almost every inode has one name, which costs one place here; each further name is listed, too.
"""

from collections.abc import Mapping


class Holders:
    """Maps an inode number to the directories that name it."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[int, int | tuple[int, ...]] = {}

    def of(self, ino: int) -> tuple[int, ...]:
        """Return the directories that name `ino`; one that does so twice comes twice."""
        held = self._of.get(ino)
        if held is None:
            return ()
        return held if isinstance(held, tuple) else (held,)

    def names(self, ino: int, directories: Mapping[int, Mapping[bytes, int]]) -> list[tuple[int, bytes]]:
        """Return (directory, name) of every name of `ino` in `directories`."""
        return [
            (directory, name)
            for directory in dict.fromkeys(self.of(ino))
            for name, number in directories[directory].items()
            if number == ino
        ]

    def add(self, ino: int, directory: int) -> None:
        """Note that `directory` names `ino` (once more)."""
        held = self._of.get(ino)
        self._of[ino] = directory if held is None else (*self.of(ino), directory)

    def remove(self, ino: int, directory: int) -> None:
        """Note that `directory` names `ino` once less."""
        held = self._of.get(ino)
        if isinstance(held, tuple):
            left = list(held)
            left.remove(directory)
            self._of[ino] = left[0] if len(left) == 1 else tuple(left)
        else:
            assert held == directory
            del self._of[ino]
