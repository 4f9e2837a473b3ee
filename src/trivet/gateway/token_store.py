"""Bearer tokens for programs, in people.sqlite: a path prefix, verbs, perhaps an end.

Rule: a token is told once, when it is made; only its digest is kept.
"""

import hashlib
import secrets
from collections.abc import Callable

import msgspec

from trivet.drive.rights import Scope
from trivet.errors import NotFound, Unauthorized
from trivet.gateway.people_file import PeopleFile

PREFIX = "trivet_"


class Token(msgspec.Struct, frozen=True):
    """One token without its secret; times are Unix seconds."""

    id: str
    user: str
    path: str
    verbs: str
    created_at_s: float
    expires_at_s: float | None
    revoked_at_s: float | None


class TokenStore:
    """The tokens of a drive; `now_s` tells Unix time."""

    def __init__(self, file: PeopleFile, now_s: Callable[[], float]) -> None:
        self._file = file
        self._now_s = now_s

    def create(self, user: str, scope: Scope, ttl_s: float | None = None) -> tuple[str, Token]:
        """Return a new token's text and description; it acts for `user` within `scope`, `ttl_s` seconds."""
        if self._file.row("SELECT 1 FROM users WHERE name = ?", user) is None:
            raise NotFound(f"there is no user {user}; `trivet user add {user}` makes one")
        name, text = secrets.token_hex(4), PREFIX + secrets.token_urlsafe(32)
        now_s = self._now_s()
        token = Token(
            name, user, scope.path, scope.verbs, now_s, None if ttl_s is None else now_s + ttl_s, None
        )
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (name, _digest(text), user, scope.path, scope.verbs, now_s, token.expires_at_s),
            )
        return text, token

    def holder(self, text: str) -> tuple[str, Scope]:
        """Return the user and the scope of the token `text`, or raise Unauthorized."""
        row = self._file.row(
            "SELECT user, path, verbs, expires_at, revoked_at FROM tokens WHERE digest = ?", _digest(text)
        )
        if row is None or row[4] is not None:
            raise Unauthorized("this token is not known or was revoked")
        if row[3] is not None and row[3] <= self._now_s():
            raise Unauthorized("this token has run out")
        return str(row[0]), Scope(str(row[1]), str(row[2]))

    def tokens(self) -> list[Token]:
        """Return all tokens, oldest first."""
        rows = self._file.rows(
            "SELECT id, user, path, verbs, created_at, expires_at, revoked_at FROM tokens"
            " ORDER BY created_at, id"
        )
        return [Token(*row) for row in rows]

    def revoke(self, name: str) -> None:
        """Refuse the token with the id `name` from now on; raise NotFound."""
        with self._file.writing() as db:
            done = db.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (self._now_s(), name)
            )
            if not done.rowcount:
                raise NotFound(f"there is no token {name} in force; `trivet token list` shows them")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
