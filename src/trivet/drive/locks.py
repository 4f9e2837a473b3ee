"""Locks per file: shared or exclusive, with an owner, an expiry and a fencing token.

Rule: a token is a number that only grows; a change that names a token needs that lock to be held still.
Rule: a lock that has run out is no lock; nobody has to clean up for others to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trivet.errors import InputError, Locked, PreconditionFailed

Mode = Literal["shared", "exclusive"]

#: The longest time one acquisition may hold a file, seconds; renew to hold it longer.
MAX_TTL_S = 3600.0
#: How many locks one owner may hold at a time.
MAX_LOCKS_PER_OWNER = 1000


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock held on the file `ino` by `owner` until `expires_at_s` (Unix time)."""

    ino: int
    token: int
    owner: str
    mode: Mode
    expires_at_s: float


def check_ttl(ttl_s: float) -> None:
    """Raise InputError unless `ttl_s` is a time a lock may be asked for."""
    if not 0 < ttl_s <= MAX_TTL_S:
        raise InputError(f"a lock is held for more than 0 and at most {MAX_TTL_S:g} seconds, not {ttl_s:g}")


def alive(held: Sequence[Lock], now_s: float) -> list[Lock]:
    """Return those of `held` that have not run out at `now_s`."""
    return [lock for lock in held if lock.expires_at_s > now_s]


def to_renew(held: Sequence[Lock], owner: str, mode: Mode, now_s: float) -> Lock | None:
    """Say whether `owner` may lock a file on which `held` stand, or raise Locked.

    Returns the owner's own lock, which is to be renewed or changed to `mode` under its token, or None when
    a new one is to be made. Changing to exclusive needs all others to be gone.
    """
    mine = None
    for lock in alive(held, now_s):
        if lock.owner == owner:
            mine = lock
        elif "exclusive" in (mode, lock.mode):
            raise _locked(lock)
    return mine


def check_change(held: Sequence[Lock], owner: str, token: int | None, now_s: float) -> None:
    """Raise unless `owner` may change a file on which `held` stand.

    Anybody else's lock, shared or exclusive, forbids it: Locked. With a fencing `token`, that very lock must
    still be held by `owner`: PreconditionFailed, whether or not another has come since.
    """
    living = alive(held, now_s)
    if token is not None and not any(lock.token == token and lock.owner == owner for lock in living):
        raise PreconditionFailed(f"the lock with token {token} is not held any more; lock the file again")
    for lock in living:
        if lock.owner != owner:
            raise _locked(lock)


def _locked(lock: Lock) -> Locked:
    return Locked(
        f"{lock.owner} holds a{'n exclusive' if lock.mode == 'exclusive' else ' shared'} lock",
        holder=lock.owner,
        expires_at_s=lock.expires_at_s,
    )
