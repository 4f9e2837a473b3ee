"""What a client handed over to the keeper and does not know to be in the banks: it tells the next one again.

Rule: a file keeps at most FILE_BYTES, all files of a client about CLIENT_BYTES, what is on its way counted
in: then a file hands over what it has, and is flushed.
"""

from dataclasses import dataclass

from trivet.io.link import Body

FILE_BYTES = 8 << 20
CLIENT_BYTES = 16 << 20


@dataclass(slots=True)
class Held:
    """How much all files of a client keep."""

    size_bytes: int = 0

    @property
    def is_much(self) -> bool:
        """Whether no file should keep more."""
        return self.size_bytes > CLIENT_BYTES


class Unflushed:
    """The writes of one file, in their order; `held` is what all files of the client count in."""

    def __init__(self, held: Held) -> None:
        self.writes: list[tuple[int, Body]] = []
        self.held = held
        self._size_bytes = 0

    def note(self, offset: int, data: Body) -> None:
        """Keep what the keeper has taken in now; it was counted in `held` when it was on its way."""
        self.writes.append((offset, data))
        self._size_bytes += len(data)

    @property
    def is_much(self) -> bool:
        """Whether it is time to flush."""
        return self._size_bytes > FILE_BYTES or self.held.is_much

    def forget(self, count: int | None = None) -> None:
        """Let go of the first `count` writes, of all without one: they are in the banks, or given up."""
        flushed = self.writes[:count]
        del self.writes[:count]
        size_bytes = sum(len(data) for _offset, data in flushed)
        self._size_bytes -= size_bytes
        self.held.size_bytes -= size_bytes
