"""Who may do what where: scopes (path prefix + verbs), grants on single files, principals.

Rule: a token never widens what its user may; both must cover a request.
Rule: a prefix covers whole names: `/docs` covers `/docs/a`, not `/docs2`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from trivet.errors import Forbidden, InputError

Verb = Literal["r", "w"]

#: What each role of a Drive permission lets its holder do.
ROLE_VERBS = {
    "owner": "rw",
    "organizer": "rw",
    "fileOrganizer": "rw",
    "writer": "rw",
    "commenter": "r",
    "reader": "r",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A path prefix ("/" = everything) and the verbs, "r" or "rw", that are allowed below it."""

    path: str
    verbs: str

    def covers(self, verb: Verb, path: str) -> bool:
        """Say whether `verb` on the absolute `path` lies within this scope."""
        inside = self.path == "/" or path == self.path or path.startswith(f"{self.path}/")
        return inside and verb in self.verbs


@dataclass(frozen=True, slots=True)
class Grant:
    """One permission given on a file or folder: `kind` is user, group or anyone; `name` whose."""

    kind: str
    name: str
    role: str


EVERYTHING = Scope("/", "rw")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who stands behind a request.

    `scopes` is what the user may do by rights of their own or of their `groups`; `limit` is what a token
    cuts that down to (None = no token). `session_id` is set when a login session made this principal.
    """

    user: str
    scopes: tuple[Scope, ...]
    session_id: str | None = None
    limit: tuple[Scope, ...] | None = None
    groups: tuple[str, ...] = ()
    admin: bool = False

    @property
    def sees_all(self) -> bool:
        """Whether this is an administrator, and no token cuts that down."""
        return self.admin and (self.limit is None or EVERYTHING in self.limit)

    def may(self, verb: Verb, path: str, grants: Iterable[Grant] = ()) -> bool:
        """Say whether `verb` on `path` is allowed; `grants` are those on the file and the folders above."""
        if self.limit is not None and not any(scope.covers(verb, path) for scope in self.limit):
            return False
        if any(scope.covers(verb, path) for scope in self.scopes):
            return True
        return any(verb in ROLE_VERBS.get(grant.role, "") and self._is(grant) for grant in grants)

    def check(self, verb: Verb, path: str, grants: Iterable[Grant] = ()) -> None:
        """Raise Forbidden unless `may` says yes."""
        if not self.may(verb, path, grants):
            deed = "read" if verb == "r" else "change"
            raise Forbidden(f"{self.user} may not {deed} {path}")

    def _is(self, grant: Grant) -> bool:
        if grant.kind == "user":
            return grant.name == self.user
        if grant.kind == "group":
            return grant.name in self.groups
        return grant.kind == "anyone"


def parse_scope(path: str, verbs: str) -> Scope:
    """Return the scope people write as an absolute `path` and `verbs`, "r" or "rw"; raise InputError."""
    if verbs not in ("r", "rw"):
        raise InputError(f"verbs are r (read) or rw (read and change), not {verbs!r}")
    names = path.split("/")
    if not path.startswith("/") or ".." in names or "." in names or "\0" in path:
        raise InputError(f"a scope is an absolute path inside the drive, like /docs, not {path!r}")
    return Scope("/" + "/".join(name for name in names if name), verbs)
