"""A circuit breaker: after many failures in a row nobody calls for a while, then one probe at a time does.

Rule: open after `failures_max` failures in a row; half open when `pause_s` is over; a probe that fails
doubles the pause, one that succeeds closes it.
"""

from typing import Literal

State = Literal["closed", "open", "half open"]
FAILURES_MAX = 5
PAUSE_S, PAUSE_MAX_S = 5.0, 120.0
#: A probe that was never answered for is given up after this long.
PROBE_S = 60.0


class CircuitBreaker:
    """Says whether to call at all; `now_s` is any clock that does not go back."""

    def __init__(self, failures_max: int = FAILURES_MAX) -> None:
        self._failures_max = failures_max
        self._failures = 0
        self._pause_s = PAUSE_S
        self._opened_s: float | None = None
        self._probe_s: float | None = None

    def state(self, now_s: float) -> State:
        """Return how it stands."""
        if self._opened_s is None:
            return "closed"
        return "half open" if now_s >= self._opened_s + self._pause_s else "open"

    def may_call(self, now_s: float) -> bool:
        """Tell whether to call now; the first to ask when it is half open is the probe."""
        state = self.state(now_s)
        if state != "half open":
            return state == "closed"
        if self._probe_s is not None and now_s < self._probe_s + PROBE_S:
            return False
        self._probe_s = now_s
        return True

    def opens_in_s(self, now_s: float) -> float:
        """Return how long it is until a call may be tried, 0 if at once."""
        if self._opened_s is None:
            return 0.0
        until = self._opened_s + self._pause_s
        if self._probe_s is not None and now_s < self._probe_s + PROBE_S:
            until = max(until, now_s + 1.0)
        return max(0.0, until - now_s)

    def hurry(self, now_s: float) -> None:
        """Let the next call be the probe: somebody does not want to wait for the end of the pause."""
        if self._opened_s is not None:
            self._opened_s = min(self._opened_s, now_s - self._pause_s)

    def succeeded(self) -> None:
        """Note that the other side has answered, whatever it said."""
        self._failures, self._opened_s, self._probe_s, self._pause_s = 0, None, None, PAUSE_S

    def failed(self, now_s: float) -> None:
        """Note that the other side has not answered, or is in trouble."""
        self._failures += 1
        if self._opened_s is not None:
            if self._probe_s is not None:
                self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
                self._opened_s, self._probe_s = now_s, None
        elif self._failures >= self._failures_max:
            self._opened_s = now_s
