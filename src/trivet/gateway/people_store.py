"""Users, groups, their rights and passwords, in people.sqlite.

Rule: a user without a password can't log in with one (only by link); a disabled user can't do anything.
Rule: disabling a user or changing a password ends that user's sessions; disabling also refuses the tokens.
"""

import re
import sqlite3
from collections.abc import Callable

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from trivet.drive.rights import Principal, Scope
from trivet.errors import Conflict, InputError, NotFound
from trivet.gateway.people_file import PeopleFile

#: The fewest characters of a password.
MIN_PASSWORD = 8
_MAX_PASSWORD = 1024
_NAME = re.compile(r"[\w][\w.@+-]{0,63}")
#: OWASP's parameters for argon2id: 19 MiB, 2 passes; many logins at once stay within bounds.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


#: All of a principal in one read: it is asked with every request.
_PRINCIPAL = """
SELECT admin,
  (SELECT json_group_array(in_group) FROM members WHERE user = ?1),
  (SELECT json_group_array(json_array(path, verbs)) FROM rights WHERE (kind = 'user' AND name = ?1)
    OR (kind = 'group' AND name IN (SELECT in_group FROM members WHERE user = ?1)))
FROM users WHERE name = ?1 AND disabled = 0
"""


class User(msgspec.Struct, frozen=True):
    """One user as `trivet user list` tells it; times are Unix seconds."""

    name: str
    admin: bool
    disabled: bool
    password: bool
    groups: list[str]
    rights: list[tuple[str, str]]
    created_at_s: float
    last_login_at_s: float | None
    sessions: int
    tokens: int


class PeopleStore:
    """The users of a drive; `now_s` tells Unix time."""

    def __init__(self, file: PeopleFile, now_s: Callable[[], float]) -> None:
        self._file = file
        self._now_s = now_s
        self._nobodys_hash = ""

    def add(
        self,
        name: str,
        password: str | None,
        *,
        scopes: tuple[Scope, ...],
        groups: tuple[str, ...] = (),
        admin: bool = False,
    ) -> None:
        """Make the user `name`; raise Conflict when there is one, InputError for a bad name or password."""
        if not _NAME.fullmatch(name):
            raise InputError(f"a user's name is 1 to 64 letters, digits and . _ @ + -, not {name!r}")
        kept = None if password is None else hash_password(password)
        with self._file.writing() as db:
            try:
                db.execute(
                    "INSERT INTO users VALUES (?, ?, ?, 0, ?, NULL)", (name, kept, admin, self._now_s())
                )
            except sqlite3.IntegrityError:
                raise Conflict(f"there is a user {name} already") from None
            db.executemany("INSERT OR IGNORE INTO members VALUES (?, ?)", [(name, one) for one in groups])
            db.executemany(
                "INSERT OR REPLACE INTO rights VALUES ('user', ?, ?, ?)",
                [(name, scope.path, scope.verbs) for scope in scopes],
            )

    def allow(self, kind: str, name: str, path: str, verbs: str) -> None:
        """Give `verbs` below `path` to the `kind` ("user" or "group") `name`; "" takes them away."""
        if kind == "user":
            self.user(name)
        with self._file.writing() as db:
            if verbs:
                db.execute("INSERT OR REPLACE INTO rights VALUES (?, ?, ?, ?)", (kind, name, path, verbs))
            else:
                db.execute("DELETE FROM rights WHERE kind = ? AND name = ? AND path = ?", (kind, name, path))

    def set_password(self, name: str, password: str) -> None:
        """Give `name` a new `password` and end the user's sessions; raise NotFound or InputError."""
        self.user(name)
        kept = hash_password(password)
        with self._file.writing() as db:
            db.execute("UPDATE users SET password = ? WHERE name = ?", (kept, name))
            db.execute("DELETE FROM sessions WHERE user = ?", (name,))

    def set_disabled(self, name: str, disabled: bool) -> None:
        """Shut `name` out, sessions and tokens included, or let the user in again; raise NotFound."""
        self.user(name)
        with self._file.writing() as db:
            db.execute("UPDATE users SET disabled = ? WHERE name = ?", (disabled, name))
            if disabled:
                db.execute("DELETE FROM sessions WHERE user = ?", (name,))

    def end_sessions(self, name: str) -> None:
        """End all sessions of `name`; raise NotFound."""
        self.user(name)
        with self._file.writing() as db:
            db.execute("DELETE FROM sessions WHERE user = ?", (name,))

    def users(self) -> list[User]:
        """Return all users by name."""
        return [self.user(str(name)) for (name,) in self._file.rows("SELECT name FROM users ORDER BY name")]

    def user(self, name: str) -> User:
        """Return the user `name` or raise NotFound."""
        row = self._file.row(
            "SELECT admin, disabled, password IS NOT NULL, created_at, last_login_at FROM users"
            " WHERE name = ?",
            name,
        )
        if row is None:
            raise NotFound(f"there is no user {name}; `trivet user list` shows who there is")
        now_s = self._now_s()
        sessions = self._file.row(
            "SELECT count(*) FROM sessions WHERE user = ? AND expires_at > ?", name, now_s
        )
        tokens = self._file.row(
            "SELECT count(*) FROM tokens WHERE user = ? AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > ?)",
            *(name, now_s),
        )
        rights = self._file.rows(
            "SELECT path, verbs FROM rights WHERE kind = 'user' AND name = ? ORDER BY path", name
        )
        return User(
            name=name,
            admin=bool(row[0]),
            disabled=bool(row[1]),
            password=bool(row[2]),
            groups=self._groups(name),
            rights=[(str(path), str(verbs)) for path, verbs in rights],
            created_at_s=row[3],
            last_login_at_s=row[4],
            sessions=sessions[0] if sessions else 0,
            tokens=tokens[0] if tokens else 0,
        )

    def principal(
        self, name: str, *, session_id: str | None = None, limit: tuple[Scope, ...] | None = None
    ) -> Principal | None:
        """Return what `name` may do now, None when there is no such user or the user is disabled."""
        row = self._file.row(_PRINCIPAL, name)
        if row is None:
            return None
        rights: list[tuple[str, str]] = msgspec.json.decode(row[2])
        return Principal(
            user=name,
            scopes=tuple(Scope(path, verbs) for path, verbs in rights),
            session_id=session_id,
            limit=limit,
            groups=tuple(msgspec.json.decode(row[1])),
            admin=bool(row[0]),
        )

    def password_is_right(self, name: str, password: str) -> bool:
        """Say whether `name` is logged in by `password`; takes 0.1 s, also for names that do not exist."""
        row = self._file.row("SELECT password FROM users WHERE name = ? AND disabled = 0", name)
        kept = row[0] if row else None
        if kept is None:
            self._nobodys_hash = self._nobodys_hash or _hasher.hash("nobody's password")
        try:
            return _hasher.verify(kept or self._nobodys_hash, password[:_MAX_PASSWORD]) and kept is not None
        except (VerificationError, InvalidHashError):
            return False

    def _groups(self, name: str) -> list[str]:
        rows = self._file.rows("SELECT in_group FROM members WHERE user = ? ORDER BY in_group", name)
        return [str(group) for (group,) in rows]


def hash_password(password: str) -> str:
    """Return `password` as argon2 keeps it, or raise InputError when it is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= _MAX_PASSWORD:
        raise InputError(f"a password has at least {MIN_PASSWORD} characters (and at most {_MAX_PASSWORD:,})")
    return _hasher.hash(password)
