"""Trying again: which refusals of a vendor pass by themselves, and how long to wait.

Rule: at most `attempts` tries within `deadline_s`; the pauses double and are jittered, 64 s at most.
Source: the published protocol's page "Resolve errors".
"""

from dataclasses import dataclass
from typing import Literal

#: passes: try again. spent: nothing more today. login: a new token may help, once. refused: never.
Verdict = Literal["passes", "spent", "login", "refused"]

_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_REASONS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "sharingRateLimitExceeded"})
_SPENT_REASONS = frozenset({"dailyLimitExceeded", "dailyLimitExceededUnreg", "quotaExceeded"})
PAUSE_MAX_S = 64.0


def verdict_of(status: int | None, reason: str) -> Verdict:
    """Return what an answer with this `status` and `reason` means; None is a connection that broke."""
    if status is None or status in _PASSING_STATUS:
        return "passes"
    if status == 403 and reason in _PASSING_REASONS:
        return "passes"
    if status == 403 and reason in _SPENT_REASONS:
        return "spent"
    return "login" if status == 401 else "refused"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to try."""

    attempts: int = 5
    deadline_s: float = 300.0

    def pause_s(self, failures: int, elapsed_s: float, jitter: float) -> float | None:
        """Return how long to wait after so many `failures`; None when it is time to give up.

        `jitter` is a random number from 0 to 1, drawn anew each time.
        """
        if failures >= self.attempts:
            return None
        pause = min(2.0 ** (failures - 1) + jitter, PAUSE_MAX_S)
        return None if elapsed_s + pause > self.deadline_s else pause
