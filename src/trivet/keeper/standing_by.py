"""The keeper that stands by: follows the journal over its own links, says so to the one that leads, waits.

Rule: it begins a reign when nobody lives under the other name (its lock is free), when that one ended in
order, or when a majority of the banks has heard nothing for as long as a lease lasts.
Rule: one that was started again leaves the first try to the other, which followed all the while.
Rule: where nobody ever reigned the one called "keeper" begins.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from trivet.errors import TrivetError
from trivet.io.clock import steady_s
from trivet.io.link import Body
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.following_news import FarNews, FollowingNews, NearNews
from trivet.keeper.high_water import HighWater, MarkKeeping, read_high_water
from trivet.keeper.owned_task import own_task
from trivet.keeper.seat import Seat
from trivet.quorum.leader_commands import Send
from trivet.quorum.membership import likely_acceptor
from trivet.quorum.standby import Standby
from trivet.quorum.succession import Silence
from trivet.wire.control_messages import HEARS_OF_NONE, NOT_MOUNTED, STANDS_BY
from trivet.wire.entries import NO_EPOCH, Epoch
from trivet.wire.journal_messages import BankMessage

log = logging.getLogger(__name__)

TICK_S = 0.025
TELL_EVERY_S = 0.5
LOOK_FOR_THE_DEAD_S = 0.1
HEAD_START_S = 3.0
#: The note of a keeper that stands by about its folder.
STANDBY_FOLDER = "standby folder"


@dataclass(frozen=True, slots=True)
class Heritage:
    """What a keeper has seen while it stood by: epochs, what is durable, silence (see Succession)."""

    seen: list[Epoch]
    mark: HighWater
    silent: Silence


class StandingBy:
    """Follows the journal for `seat` over the links of `fleet` until it is its turn."""

    def __init__(self, fleet: Fleet, volume_key: bytes, seat: Seat, notes: dict[str, str]) -> None:
        self._fleet = fleet
        self._seat = seat
        self._notes = notes
        self._core = Standby(volume_key, [bank[0].base for bank in fleet.banks], seat.name)
        self._marked = read_high_water(seat.mark_paths[0])
        self._news: FollowingNews = NearNews(seat.other_folder)
        if seat.other_host is not None:
            self._news = FarNews(seat.folder, fleet.reach, seat.name, seat.other_host)
        self._linked: dict[int, tuple[ServerLink, int]] = {}
        self._look_at = self._alone_at = float("-inf")
        self._alone_since: float | None = None

    async def turn(self) -> Heritage | None:
        """Return when this keeper is to begin a reign, with what it knows; None if nobody ever reigned."""
        self._notes["standby"] = self._note(is_heard=False)
        self._notes.pop("door", None)  # nobody waits for it here
        telling = own_task(self._tell())
        keeping = MarkKeeping(self._seat.mark_paths[0], self._mark)
        try:
            while not self._is_due(steady_s()):
                await asyncio.sleep(TICK_S)
                self._watch()
                self._send(self._core.on_tick(steady_s()))
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await keeping.close()
        del self._notes["standby"]
        self._notes["door"] = NOT_MOUNTED
        self._seat.lead()
        core, mark = self._core, self._mark()
        return None if mark is None else Heritage(core.seen(), mark, core.silence(steady_s()))

    def _is_due(self, now: float) -> bool:
        config = self._core.config
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_FOR_THE_DEAD_S
        if config is None:
            return self._core.turn(now) == "reign"
        if self._seat.take_other():
            log.info("nobody lives who could be the keeper called %r: taking over", self._seat.other)
            return True
        if self._core.turn(now) != "reign":
            self._alone_since = None
            return False
        if config.keeper != self._seat.name:
            why = "has ended" if config.vacant else "is not heard of any more"
            log.info("the keeper called %r %s: taking over", self._seat.other, why)
            return True
        if len(self._core.silence(now)) <= len(self._fleet.banks) // 2:
            self._alone_since = None
            return False
        self._alone_since = self._alone_since or now
        return now - self._alone_since >= HEAD_START_S

    # -- the journal

    def _watch(self) -> None:
        """Tell the core which acceptor there is a connection to."""
        for bank in self._fleet.banks:
            base = bank[0].base
            server = self._acceptor(bank)
            linked = (server, server.generation) if server is not None and server.is_up else None
            if linked == self._linked.get(base):
                continue
            if self._linked.pop(base, None) is not None:
                self._core.on_lost(base)
            if linked is not None:
                self._linked[base] = linked
                self._send(self._core.on_connected(base, steady_s()))

    def _acceptor(self, bank: list[ServerLink]) -> ServerLink | None:
        config = self._core.config
        port: int | None
        if config is not None and bank[0].base in config.seats:
            port = config.seats[bank[0].base].port
        else:
            port = likely_acceptor([one.identity for one in bank if one.is_up and one.identity])
        return next((server for server in bank if server.port == port), None)

    def _send(self, sends: Sequence[Send]) -> None:
        for send in sends:
            linked = self._linked.get(send.bank)
            if linked is None or linked[0].journal is None:
                continue

            def on_reply(message: BankMessage, body: Body, send: Send = send) -> None:
                self._send(self._core.on_reply(send, message, steady_s(), bytes(body)))

            linked[0].journal.send_request(send.message, send.body, on_reply)

    # -- what others are told

    def _mark(self) -> HighWater | None:
        core, marked = self._core, self._marked
        known = (NO_EPOCH, 0) if marked is None else (marked.epoch, marked.slot)
        if (core.epoch, core.slot) > known:
            self._marked = HighWater(core.epoch, core.slot, core.slot_hash)
        return self._marked

    def _note(self, *, is_heard: bool) -> str:
        host = self._seat.other_host
        if host is None:
            return f"{STANDS_BY}; another one leads"
        return f"{STANDS_BY}; the one on {host} leads: ask there" if is_heard else HEARS_OF_NONE

    async def _tell(self) -> None:
        """Tell the keeper that leads that this one stands by, and how far it has read."""
        try:
            while True:
                is_heard = False
                with contextlib.suppress(TrivetError):
                    await self._news.tell(self._core.slot, self._notes.get(STANDBY_FOLDER, ""))
                    is_heard = True
                self._notes["standby"] = self._note(is_heard=is_heard)
                await asyncio.sleep(TELL_EVERY_S)
        finally:
            await self._news.close()
