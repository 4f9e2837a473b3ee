"""One at a time, thing by thing: whoever works on a thing has claimed its key.

Rule: a key is forgotten with its last claim, whether work ended well or not, never while somebody waits.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Claim:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    claimants: int = 0


class Claims(Generic[Key]):
    """What tasks of one event loop work on, by key."""

    def __init__(self) -> None:
        self._claims: dict[Key, _Claim] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._claims

    @asynccontextmanager
    async def of(self, key: Key) -> AsyncIterator[None]:
        """Be the only one who works on `key`; those who come meanwhile wait in their order."""
        claim = self._claims.setdefault(key, _Claim())
        claim.claimants += 1
        try:
            async with claim.lock:
                yield
        finally:
            claim.claimants -= 1
            if not claim.claimants:
                del self._claims[key]
