"""Holders: which directories hold the names of each inode, so that a path is found from its end.

Rule: almost every inode has one name, which costs one place here; each further name is listed, too.
Rule: who counts by directories hears of each new home by `on_new_home` (inode, before, after).
"""

from collections.abc import Callable, Mapping


class Holders:
    """Maps an inode number to the directories that name it."""

    __slots__ = ("_of", "on_new_home")

    def __init__(self) -> None:
        self._of: dict[int, int | tuple[int, ...]] = {}
        self.on_new_home: Callable[[int, int | None, int | None], None] | None = None

    def of(self, ino: int) -> tuple[int, ...]:
        """Return the directories that name `ino`; one that does so twice comes twice."""
        held = self._of.get(ino)
        if held is None:
            return ()
        return held if isinstance(held, tuple) else (held,)

    def home(self, ino: int) -> int | None:
        """Return the directory with the lowest number of those that name `ino`, None without any."""
        held = self._of.get(ino)
        return min(held) if isinstance(held, tuple) else held

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
        before = None if self.on_new_home is None else self.home(ino)
        held = self._of.get(ino)
        self._of[ino] = directory if held is None else (*self.of(ino), directory)
        self._tell(ino, before)

    def remove(self, ino: int, directory: int) -> None:
        """Note that `directory` names `ino` once less."""
        before = None if self.on_new_home is None else self.home(ino)
        held = self._of.get(ino)
        if isinstance(held, tuple):
            left = list(held)
            left.remove(directory)
            self._of[ino] = left[0] if len(left) == 1 else tuple(left)
        else:
            assert held == directory
            del self._of[ino]
        self._tell(ino, before)

    def _tell(self, ino: int, before: int | None) -> None:
        if self.on_new_home is not None and (after := self.home(ino)) != before:
            self.on_new_home(ino, before, after)
