"""Everything the door knows of people, behind one name: users, sessions, tokens, logins, locks."""

import asyncio
import getpass
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trivet.drive.login_limits import WINDOW_S, check_attempt, limits
from trivet.drive.rights import EVERYTHING, Principal
from trivet.errors import NotFound, Unauthorized
from trivet.gateway.lock_store import LockStore
from trivet.gateway.people_file import PeopleFile
from trivet.gateway.people_store import PeopleStore
from trivet.gateway.session_store import USER_TTL_S, VISITOR_TTL_S, SessionStore
from trivet.gateway.token_store import TokenStore
from trivet.io.clock import wall_s

#: How long a login link may be used, seconds.
LINK_TTL_S = 3600.0


class People:
    """The people of the drive whose gateway folder is `folder`; `close` it.

    With `no_auth_user` every request is that user's, who may do everything. `now_s` tells Unix time.
    """

    def __init__(
        self,
        folder: Path,
        *,
        no_auth_user: str | None = None,
        now_s: Callable[[], float] = wall_s,
        user_ttl_s: float = USER_TTL_S,
        visitor_ttl_s: float = VISITOR_TTL_S,
    ) -> None:
        self.no_auth_user = no_auth_user
        self._now_s = now_s
        self._file = PeopleFile(folder / "people.sqlite")
        self.users = PeopleStore(self._file, now_s)
        self.tokens = TokenStore(self._file, now_s)
        self.sessions = SessionStore(self._file, now_s, user_ttl_s, visitor_ttl_s)
        self.locks = LockStore(self._file, now_s)
        self._hashing = ThreadPoolExecutor(2, thread_name_prefix="passwords")

    def everybodys_principal(self) -> Principal | None:
        """Return who every request belongs to under `--no-auth`, else None."""
        if self.no_auth_user is None:
            return None
        return Principal(self.no_auth_user, (EVERYTHING,), admin=True)

    async def log_in(self, user: str, password: str, address: str) -> str:
        """Return the name of the user whom `password` fits; raise Unauthorized or RateLimited.

        `address` is where the attempt came from. An attempt counts as failed until it was right, so that
        many at once are limited too.
        """
        await self._file.in_thread(lambda: self._count_attempt(user, address))
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._hashing, self.users.password_is_right, user, password):
            raise Unauthorized("the name or the password is wrong")
        await self._file.in_thread(lambda: self._note_login(user, address))
        return user

    def _count_attempt(self, user: str, address: str) -> None:
        now_s = self._now_s()
        with self._file.writing() as db:
            for key, most in limits(user, address):
                rows = db.execute(
                    "SELECT at FROM failures WHERE key = ? ORDER BY at DESC LIMIT ?", (key, most)
                ).fetchall()
                check_attempt([at for (at,) in rows], most, now_s)
                db.execute("INSERT INTO failures VALUES (?, ?)", (key, now_s))

    def _note_login(self, user: str, address: str) -> None:
        with self._file.writing() as db:
            db.execute("UPDATE users SET last_login_at = ? WHERE name = ?", (self._now_s(), user))
            pair, *others = (key for key, _ in limits(user, address))
            db.execute("DELETE FROM failures WHERE key = ?", (pair,))
            for key in others:
                db.execute(
                    "DELETE FROM failures WHERE rowid = (SELECT max(rowid) FROM failures WHERE key = ?)",
                    (key,),
                )

    def first_link(self) -> str | None:
        """Return a one-time login code for the first user, who is made now; None when there are users."""
        if self._file.row("SELECT 1 FROM users") is not None:
            return None
        name = getpass.getuser()
        self.users.add(name, None, scopes=(EVERYTHING,), admin=True)
        return self.link_for(name)

    def link_for(self, user: str) -> str:
        """Return a code that logs `user` in once, within the hour; raise NotFound."""
        self.users.user(user)
        code = secrets.token_urlsafe(24)
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO login_links VALUES (?, ?, ?)", (_digest(code), user, self._now_s() + LINK_TTL_S)
            )
        return code

    async def redeem(self, code: str) -> str:
        """Return the user whom the one-time `code` logs in, and use it up; raise NotFound."""

        def take() -> str:
            with self._file.writing() as db:
                row = db.execute(
                    "DELETE FROM login_links WHERE digest = ? RETURNING user, expires_at", (_digest(code),)
                ).fetchone()
                if row is None or row[1] <= self._now_s():
                    raise NotFound(
                        "this login link was used or has run out; `trivet user link` makes another"
                    )
                db.execute("UPDATE users SET last_login_at = ? WHERE name = ?", (self._now_s(), row[0]))
            return str(row[0])

        return await self._file.in_thread(take)

    async def sweep(self) -> None:
        """Remove sessions, locks, links and counted failures that have run out."""

        def remove() -> None:
            now_s = self._now_s()
            with self._file.writing() as db:
                for table in ("sessions", "locks", "login_links"):
                    db.execute(f"DELETE FROM {table} WHERE expires_at <= ?", (now_s,))
                db.execute("DELETE FROM failures WHERE at <= ?", (now_s - WINDOW_S,))

        await self._file.in_thread(remove)

    def close(self) -> None:
        """Let go of the file."""
        self._hashing.shutdown()
        self._file.close()


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogateescape")).digest()
