"""Sessions, kept on the server in people.sqlite; the browser has only a signed, opaque id.

Rule: a bad signature, an unknown or a run-out id is an empty session, never an error.
Rule: saving merges the keys that were changed, so that two requests at once lose nothing of each other.
Rule: a session that was ended meanwhile stays ended; logging in makes a new id.
"""

import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import msgspec
from itsdangerous import BadSignature, Signer

from trivet.errors import PayloadTooLarge
from trivet.gateway.people_file import PeopleFile

#: How long a session lives without a request, seconds: with a user, and without one.
USER_TTL_S = 14 * 86400.0
VISITOR_TTL_S = 1800.0
#: How many sessions one user, and all visitors together, may have; the one unused longest makes room.
MAX_PER_USER = 100
MAX_VISITORS = 10_000
#: The most bytes of JSON one session may hold.
MAX_CONTENT_BYTES = 64 * 1024
_TOUCH_SHARE = 20


class Session(MutableMapping[str, Any]):
    """The values of one session, by name (JSON values); written back when the response starts.

    A value changed in place is not noticed: set it again. `user` is who is logged in.
    """

    def __init__(
        self, digest: bytes | None, user: str | None, values: dict[str, Any], *, stale: bool
    ) -> None:
        self.digest = digest
        self.user = user
        self.entering: str | None = None
        self.ended = False
        self.stale = stale
        self.changed: set[str] = set()
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value
        self.changed.add(name)

    def __delitem__(self, name: str) -> None:
        del self._values[name]
        self.changed.add(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def log_in(self, user: str) -> None:
        """Have this session go on under a new id as `user`."""
        self.entering = user
        self.ended = False

    def log_out(self) -> None:
        """End this session and forget its values."""
        self._values.clear()
        self.entering = None
        self.ended = True


class SessionStore:
    """The sessions of a drive; `now_s` tells Unix time; the lifetimes are in seconds without a request."""

    def __init__(
        self,
        file: PeopleFile,
        now_s: Callable[[], float],
        user_ttl_s: float = USER_TTL_S,
        visitor_ttl_s: float = VISITOR_TTL_S,
    ) -> None:
        self._file = file
        self._now_s = now_s
        self._user_ttl_s = user_ttl_s
        self._visitor_ttl_s = visitor_ttl_s
        key = hashlib.sha256(b"trivet.session" + file.secret()).digest()  # derived once, not with each cookie
        self._signer = Signer(key, key_derivation="none", digest_method=hashlib.sha256)

    def open(self, cookie: str | None) -> Session:
        """Return the session that `cookie` names, or an empty one."""
        if cookie:
            try:
                digest = _digest(self._signer.unsign(cookie.encode("utf-8", "surrogateescape")))
            except BadSignature:
                return Session(None, None, {}, stale=False)
            row = self._file.row(
                "SELECT user, content, seen_at FROM sessions WHERE digest = ? AND expires_at > ?",
                *(digest, self._now_s()),
            )
            if row is not None:
                stale = self._now_s() - row[2] > self._ttl_s(row[0]) / _TOUCH_SHARE
                return Session(digest, row[0], msgspec.json.decode(row[1]), stale=stale)
        return Session(None, None, {}, stale=False)

    async def save(self, session: Session) -> str | None:
        """Write back what changed; return the cookie to set, "" to take it away, None to leave it."""
        if not (session.changed or session.entering or session.ended or session.stale):
            return None
        return await self._file.in_thread(lambda: self.save_now(session))

    def save_now(self, session: Session) -> str | None:
        """Do what `save` does in the calling thread."""
        with self._file.writing() as db:
            if session.ended:
                db.execute("DELETE FROM sessions WHERE digest = ?", (session.digest,))
                return "" if session.digest else None
            if session.entering:
                db.execute("DELETE FROM sessions WHERE digest = ?", (session.digest,))
                session.digest, session.user = None, session.entering
            if session.digest is None:
                return self._insert(db, session)
            self._update(db, session)
        return None

    def _insert(self, db: sqlite3.Connection, session: Session) -> str | None:
        if not (session or session.user):
            return None
        name, now_s = secrets.token_urlsafe(32).encode(), self._now_s()
        most = MAX_PER_USER if session.user else MAX_VISITORS
        db.execute(
            "DELETE FROM sessions WHERE digest IN (SELECT digest FROM sessions WHERE user IS ?"
            " ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
            (session.user, most - 1),
        )
        session.digest = _digest(name)
        db.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(session.digest, session.user, _encoded(dict(session))),
                *(now_s, now_s, now_s + self._ttl_s(session.user)),
            ),
        )
        return self._signer.sign(name).decode()

    def _update(self, db: sqlite3.Connection, session: Session) -> None:
        row = db.execute("SELECT user, content FROM sessions WHERE digest = ?", (session.digest,)).fetchone()
        if row is None:
            return
        values: dict[str, Any] = msgspec.json.decode(row[1])
        for name in session.changed:
            if name in session:
                values[name] = session[name]
            else:
                values.pop(name, None)
        now_s = self._now_s()
        db.execute(
            "UPDATE sessions SET content = ?, seen_at = ?, expires_at = ? WHERE digest = ?",
            (_encoded(values), now_s, now_s + self._ttl_s(row[0]), session.digest),
        )

    def _ttl_s(self, user: str | None) -> float:
        return self._user_ttl_s if user else self._visitor_ttl_s

    def count(self) -> int:
        """Return how many sessions are open now."""
        found = self._file.row("SELECT count(*) FROM sessions WHERE expires_at > ?", self._now_s())
        return int(found[0]) if found else 0


def _digest(name: bytes) -> bytes:
    return hashlib.sha256(name).digest()


def _encoded(values: dict[str, Any]) -> bytes:
    content = msgspec.json.encode(values)
    if len(content) > MAX_CONTENT_BYTES:
        raise PayloadTooLarge(f"a session holds at most {MAX_CONTENT_BYTES:,} bytes")
    return content
