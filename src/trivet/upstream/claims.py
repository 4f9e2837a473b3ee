"""Who works on what: of those who claim the same thing one goes on, the others wait for it.

Rule: a claim is known as long as somebody holds it or waits for it, and forgotten then, also after an error.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class _Claim:
    __slots__ = ("lock", "wanted")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0


class Claims:
    """Claims to things by their keys."""

    def __init__(self) -> None:
        self._claims: dict[Hashable, _Claim] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._claims

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Be the only one who works on `key`."""
        claim = self._claims.setdefault(key, _Claim())
        claim.wanted += 1
        try:
            async with claim.lock:
                yield
        finally:
            claim.wanted -= 1
            if not claim.wanted:
                del self._claims[key]
