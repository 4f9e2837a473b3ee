"""A bounded cache of page bodies, newest use last.

Rule: what a writer put is never replaced by what a slower reader fetched before it.
"""

from collections import OrderedDict
from collections.abc import Iterable

ENTRY_COST_BYTES = 160


class PageCache:
    """Bodies by record key, at most `limit_bytes` with what keeping them costs."""

    __slots__ = ("_fetching", "_limit_bytes", "_pages", "size_bytes")

    def __init__(self, limit_bytes: int = 16 << 20) -> None:
        self._pages: OrderedDict[bytes, bytes] = OrderedDict()
        self._fetching: dict[bytes, object] = {}
        self._limit_bytes = limit_bytes
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, key: bytes) -> bytes | None:
        """Return the body under `key` if it is here."""
        value = self._pages.get(key)
        if value is not None:
            self._pages.move_to_end(key)
        return value

    def write(self, key: bytes, value: bytes) -> None:
        """Keep what was just written."""
        if self._fetching:
            self._fetching.pop(key, None)
        old = self._pages.pop(key, None)
        if old is not None:
            self.size_bytes -= len(old) + ENTRY_COST_BYTES
        self._pages[key] = value
        self.size_bytes += len(value) + ENTRY_COST_BYTES
        while self.size_bytes > self._limit_bytes:
            _key, gone = self._pages.popitem(last=False)
            self.size_bytes -= len(gone) + ENTRY_COST_BYTES

    def expect(self, keys: Iterable[bytes]) -> object:
        """Begin fetching `keys`; hand the token to `fill`."""
        token = object()
        for key in keys:
            self._fetching[key] = token
        return token

    def fill(self, token: object, keys: Iterable[bytes], fetched: dict[bytes, bytes]) -> None:
        """End fetching: keep each value unless its key was written or asked for again meanwhile."""
        for key in keys:
            if self._fetching.get(key) is token:
                del self._fetching[key]
                value = fetched.get(key)
                if value is not None:
                    self.write(key, value)
