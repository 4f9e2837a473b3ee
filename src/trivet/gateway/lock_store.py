"""Locks in people.sqlite, so that all workers of a drive agree; the rules are in `drive/locks.py`.

Rule: deciding and writing are one transaction; the fencing token is the row's AUTOINCREMENT number.
"""

import sqlite3
from collections.abc import Callable

from trivet.drive.locks import MAX_LOCKS_PER_OWNER, Lock, Mode, alive, check_change, check_ttl, to_renew
from trivet.errors import NotFound, QuotaExceeded
from trivet.gateway.people_file import PeopleFile

_COLUMNS = "ino, token, owner, mode, expires_at"


class LockStore:
    """The locks of a drive; `now_s` tells Unix time."""

    def __init__(self, file: PeopleFile, now_s: Callable[[], float]) -> None:
        self._file = file
        self._now_s = now_s

    async def acquire(self, ino: int, owner: str, mode: Mode, ttl_s: float) -> Lock:
        """Lock the file `ino` for `ttl_s` seconds, or renew or change the lock `owner` holds on it.

        Raises Locked when somebody else is in the way, QuotaExceeded above the owner's count of locks.
        """
        check_ttl(ttl_s)
        return await self._file.in_thread(lambda: self._acquire(ino, owner, mode, ttl_s))

    def _acquire(self, ino: int, owner: str, mode: Mode, ttl_s: float) -> Lock:
        now_s = self._now_s()
        with self._file.writing() as db:
            db.execute("DELETE FROM locks WHERE ino = ? AND expires_at <= ?", (ino, now_s))
            mine = to_renew(_locks(db, ino), owner, mode, now_s)
            until_s = now_s + ttl_s
            if mine is not None:
                db.execute(
                    "UPDATE locks SET mode = ?, expires_at = ? WHERE token = ?", (mode, until_s, mine.token)
                )
                return Lock(ino, mine.token, owner, mode, until_s)
            (held,) = db.execute(
                "SELECT count(*) FROM locks WHERE owner = ? AND expires_at > ?", (owner, now_s)
            ).fetchone()
            if held >= MAX_LOCKS_PER_OWNER:
                raise QuotaExceeded(f"{owner} holds {held:,} locks already; let some of them go")
            token = db.execute(
                "INSERT INTO locks (ino, owner, mode, expires_at) VALUES (?, ?, ?, ?)",
                (ino, owner, mode, until_s),
            ).lastrowid
            assert token is not None
            return Lock(ino, token, owner, mode, until_s)

    async def release(self, ino: int, owner: str, token: int) -> None:
        """Let go of the lock with `token`; raise NotFound when `owner` does not hold it any more."""

        def gone() -> int:
            with self._file.writing() as db:
                return db.execute(
                    "DELETE FROM locks WHERE ino = ? AND owner = ? AND token = ? AND expires_at > ?",
                    (ino, owner, token, self._now_s()),
                ).rowcount

        if not await self._file.in_thread(gone):
            raise NotFound(f"{owner} holds no lock with token {token} on this file")

    def held(self, ino: int) -> list[Lock]:
        """Return the locks that stand on the file `ino` now, oldest first."""
        rows = self._file.rows(f"SELECT {_COLUMNS} FROM locks WHERE ino = ? ORDER BY token", ino)
        return alive([Lock(*row) for row in rows], self._now_s())

    def check_write(self, ino: int, owner: str, token: int | None = None) -> None:
        """Raise Locked or PreconditionFailed unless `owner` may change the file `ino` now."""
        check_change(self.held(ino), owner, token, self._now_s())

    def count(self) -> int:
        """Return how many locks stand now."""
        found = self._file.row("SELECT count(*) FROM locks WHERE expires_at > ?", self._now_s())
        return int(found[0]) if found else 0


def _locks(db: sqlite3.Connection, ino: int) -> list[Lock]:
    rows = db.execute(f"SELECT {_COLUMNS} FROM locks WHERE ino = ? ORDER BY token", (ino,))
    return [Lock(*row) for row in rows]
