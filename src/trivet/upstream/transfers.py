"""Transfers to and from the vendor: rows with a key, a budget for each direction, first in, first out.

Rule: a row is written before a transfer asks for bytes; what it has moved is kept in it, so that a restart
neither forgets what was used nor who was first.
"""

import asyncio
import secrets
from typing import Literal

import msgspec

from trivet.drive.upstream.byte_budget import BudgetCount, BudgetLimits, ByteBudget, Place
from trivet.io.upstream_store import UpstreamStore

Direction = Literal["download", "upload"]
State = Literal["waiting", "running", "parked", "done", "failed", "rolled back"]
#: States of transfers that are not over.
OPEN = ("waiting", "running", "parked")
DIRECTIONS: tuple[Direction, ...] = ("download", "upload")
KEPT_S = 7 * 24 * 3600.0
#: No key of the door's own transfers begins so.
KEY_PREFIX = "v."
_COLUMNS = "key, id, ino, user, direction, name, size, moved, state, error, since_s, touched_s"


class Transfer(msgspec.Struct, frozen=True):
    """One transfer of the file `id` for `user`; sizes in bytes, times in Unix time."""

    key: str
    id: str
    ino: int
    user: str
    direction: Direction
    name: str
    size: int
    moved: int
    state: State
    error: str | None
    since_s: float
    touched_s: float


class Transfers:
    """The rows in `store` and who may move bytes; `begin` it after a start."""

    def __init__(self, store: UpstreamStore, limits: dict[Direction, BudgetLimits]) -> None:
        self._store = store
        self.budgets = {one: ByteBudget(limits[one]) for one in DIRECTIONS}
        self._may_run: dict[str, asyncio.Event] = {}

    async def begin(self, now_s: float) -> list[Transfer]:
        """Take up what a process before left: what was used today, and who still waits, the first first."""
        await self._store.write("DELETE FROM transfers WHERE touched_s < ?", now_s - KEPT_S)
        for direction, budget in self.budgets.items():
            day_ends_s = budget.resets_at_s(now_s)
            count = BudgetCount(int(now_s - budget.limits.day_begins_s) // 86_400)
            rows = await self._store.rows(
                "SELECT user, sum(moved) FROM transfers WHERE direction = ? AND touched_s >= ? GROUP BY user",
                *(direction, day_ends_s - 86_400),
            )
            for user, moved in rows:
                count.user_bytes[user] = moved
                count.pool_bytes += moved
            budget.count = count
        return await self.listed("state IN ('waiting', 'running', 'parked') ORDER BY seq", 100_000)

    async def listed(self, which: str, limit: int) -> list[Transfer]:
        """Return the rows that the clause `which` selects."""
        rows = await self._store.rows(f"SELECT {_COLUMNS} FROM transfers WHERE {which} LIMIT {limit:d}")
        return [Transfer(*row) for row in rows]

    async def open_downloads(self, state: State) -> list[Transfer]:
        """Return the downloads in a state, the first first."""
        return await self.listed(f"state = '{state}' AND direction = 'download' ORDER BY seq", 100_000)

    async def open_download_of(self, file_id: str) -> Transfer | None:
        """Return the download of a file that is not over, if there is one."""
        row = await self._store.row(
            f"SELECT {_COLUMNS} FROM transfers WHERE id = ? AND direction = 'download' "
            "AND state IN ('waiting', 'running', 'parked') ORDER BY seq",
            file_id,
        )
        return None if row is None else Transfer(*row)

    async def add(
        self, file_id: str, ino: int, user: str, direction: Direction, name: str, size: int, now_s: float
    ) -> Transfer:
        """Write a new row down."""
        key = KEY_PREFIX + secrets.token_urlsafe(12)
        made = Transfer(key, file_id, ino, user, direction, name, size, 0, "waiting", None, now_s, now_s)
        await self._store.write(
            f"INSERT INTO transfers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *msgspec.structs.astuple(made),
        )
        return made

    async def by_key(self, key: str) -> Transfer | None:
        """Return the transfer `key`."""
        row = await self._store.row(f"SELECT {_COLUMNS} FROM transfers WHERE key = ?", key)
        return None if row is None else Transfer(*row)

    def ask(self, transfer: Transfer, now_s: float) -> Place:
        """Ask for the bytes that are still to be moved; BeyondBudget for more than any day has."""
        event = self._may_run.setdefault(transfer.key, asyncio.Event())
        budget = self.budgets[transfer.direction]
        place = budget.ask(transfer.key, transfer.user, transfer.size - transfer.moved, now_s)
        if place.position == 0:
            event.set()
        return place

    def place(self, transfer: Transfer, now_s: float) -> Place:
        """Return how a transfer that has asked stands."""
        return self.budgets[transfer.direction].place(transfer.key, now_s)

    async def granted(self, transfer: Transfer) -> None:
        """Wait until the transfer may move its bytes."""
        await self._may_run[transfer.key].wait()

    def count(self, transfer: Transfer, size_bytes: int) -> bool:
        """Count bytes on the wire; False when there are more than were reserved."""
        return self.budgets[transfer.direction].moved(transfer.key, size_bytes)

    async def note(self, transfer: Transfer, moved: int, now_s: float) -> None:
        """Keep that it runs, and how many bytes of it were moved in all."""
        await self._store.write(
            "UPDATE transfers SET state = 'running', moved = ?, touched_s = ? WHERE key = ?",
            *(moved, now_s, transfer.key),
        )

    async def end(
        self, transfer: Transfer, state: State, moved: int | None, error: str | None, now_s: float
    ) -> None:
        """Keep what became of a transfer; what it did not move of its bytes is free for the next.

        `moved` None leaves what was noted last.
        """
        self.let_go(transfer, now_s)
        await self._store.write(
            "UPDATE transfers SET state = ?, moved = coalesce(?, moved), error = ?, touched_s = ? "
            "WHERE key = ?",
            *(state, moved, error, now_s, transfer.key),
        )

    def let_go(self, transfer: Transfer, now_s: float) -> None:
        """Give a transfer's bytes, or its place, back."""
        self._may_run.pop(transfer.key, None)
        self._wake(self.budgets[transfer.direction].end(transfer.key, now_s))

    def renew(self, transfer: Transfer, size: int, now_s: float) -> None:
        """Ask anew, for `size` bytes, at the end of the queue; what was moved so far is used."""
        event = self._may_run[transfer.key]
        event.clear()
        budget = self.budgets[transfer.direction]
        self._wake(budget.end(transfer.key, now_s))
        if budget.ask(transfer.key, transfer.user, size, now_s).position == 0:
            event.set()

    def new_day(self, now_s: float) -> None:
        """Let those begin for whom there are bytes now."""
        for budget in self.budgets.values():
            self._wake(budget.granted(now_s))

    def _wake(self, keys: list[str]) -> None:
        for key in keys:
            if key in self._may_run:
                self._may_run[key].set()
