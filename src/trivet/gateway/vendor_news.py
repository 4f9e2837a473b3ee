"""What has happened at the vendors, asked for once a second by each worker whatever the number of listeners.

Rule: a process of the upstreams that hangs holds nobody up: what was known before is told then.
"""

import asyncio
import time
from pathlib import Path

import msgspec

from trivet.io.control_socket import NotRunning, Remote, ask

FRESH_S, PATIENCE_S = 1.0, 2.0
#: Who comes back within this time has missed nothing.
RETURN_S = 5.0


class Notice(msgspec.Struct, frozen=True):
    """Something that `user` ("" = everybody) should know; `seq` grows."""

    at_s: float
    text: str
    user: str
    seq: int


class VendorNews(msgspec.Struct, frozen=True):
    """What is new at one vendor; `mark` is another one after each change."""

    name: str
    mark: str
    notices: list[Notice]


class _News(msgspec.Struct, frozen=True):
    upstreams: list[VendorNews]


class NewsDesk:
    """Asks behind `socket`, the upstreams' own."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._asking = asyncio.Lock()
        self._known: list[VendorNews] = []
        self._until_s = 0.0

    async def latest(self) -> list[VendorNews]:
        """Return what is new, at most FRESH_S old."""
        async with self._asking:
            if time.monotonic() >= self._until_s:
                self._known = await self._asked()
                self._until_s = time.monotonic() + FRESH_S
        return self._known

    async def _asked(self) -> list[VendorNews]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return msgspec.convert(await ask(self._socket, "news"), _News).upstreams
        except (NotRunning, Remote, TimeoutError):
            return self._known


class Listener:
    """What one listener, `user`, has heard of `desk` so far."""

    def __init__(self, desk: NewsDesk, user: str) -> None:
        self._desk = desk
        self._user = user
        self._since_s = time.time() - RETURN_S
        self._heard: dict[str, tuple[str, int]] = {}

    async def events(self) -> list[dict[str, object]]:
        """Return what is new since the last time, as events; nothing that is old at the first time."""
        told: list[dict[str, object]] = []
        for one in await self._desk.latest():
            mark, seen = self._heard.get(one.name, ("", 0))
            newest = max((notice.seq for notice in one.notices), default=0)
            self._heard[one.name] = (one.mark, max(newest, seen))
            if one.mark != mark:
                told.append({"type": "upstream", "name": one.name})
            told += [
                {"type": "notice", "text": notice.text, "at_s": notice.at_s}
                for notice in reversed(one.notices)
                if notice.seq > seen and notice.at_s >= self._since_s and notice.user in ("", self._user)
            ]
        return told
