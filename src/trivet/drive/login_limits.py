"""How often somebody may try to log in.

Rule: a right password after too many wrong ones is refused too, else the limit would tell which is right.
Rule: the pair of user and address runs out first, so that a stranger elsewhere can't lock a user out soon.
"""

from collections.abc import Sequence

from trivet.errors import RateLimited

#: The time in which failures are counted, seconds.
WINDOW_S = 900.0
#: Failures within the window: for one user from one address, for one user, for one address.
MAX_PAIR = 5
MAX_USER = 20
MAX_ADDRESS = 50


def limits(user: str, address: str) -> list[tuple[str, int]]:
    """Return the keys under which a failure of `user` from `address` counts, with how many each may have."""
    return [(f"p:{user}@{address}", MAX_PAIR), (f"u:{user}", MAX_USER), (f"a:{address}", MAX_ADDRESS)]


def check_attempt(failures_s: Sequence[float], most: int, now_s: float) -> None:
    """Raise RateLimited when the window holds `most` or more of `failures_s` (Unix times)."""
    recent = sorted(at for at in failures_s if at > now_s - WINDOW_S)
    if len(recent) >= most:
        wait_s = recent[-most] + WINDOW_S - now_s
        raise RateLimited(
            f"too many failed logins; try again in {max(1, round(wait_s / 60))} minutes", retry_after_s=wait_s
        )
