"""What the kernel knows of folders, links, pipes and devices: the volume holds each until it is forgotten.

A program may have one of them open, or work in it, and we are never asked about that: it has to live on when
its name goes. A regular file lives by its handles instead.

Rule: counted is what the kernel counts: each answer that gives it an inode by name.
"""

from collections.abc import Iterable
from stat import S_ISREG

from trivet.volume.interface import Attributes, MountableVolume


class KnownInodes:
    """How often the kernel was told of each inode of `volume` that is no regular file."""

    __slots__ = ("_told", "_volume")

    def __init__(self, volume: MountableVolume) -> None:
        self._volume = volume
        self._told: dict[int, int] = {}

    def tell(self, attributes: Attributes) -> None:
        """Note that the kernel is told of an inode once more."""
        if S_ISREG(attributes.mode):
            return
        ino = attributes.ino
        told = self._told.get(ino, 0)
        if not told:
            self._volume.hold(ino)
        self._told[ino] = told + 1

    def forget(self, forgotten: Iterable[tuple[int, int]]) -> None:
        """Take back (inode, how often it was told), and let go of what the kernel does not know any more."""
        for ino, times in forgotten:
            told = self._told.get(ino)
            if told is None:
                continue
            if told > times:
                self._told[ino] = told - times
            else:
                del self._told[ino]
                self._volume.let_go(ino)
