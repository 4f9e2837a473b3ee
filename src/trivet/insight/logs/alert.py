"""Alerts on traffic: a short moving average against the long one before it.

Rule: raised when short > long * threshold, cleared when it falls back; both carry the figures.
Rule: averages are over windows that exist; nothing is raised before as many windows lie behind the short
ones as the short ones are, so that a fresh start does not alarm.
Rule: a quiet window counts as zero; a silence of any length costs no more than the longest window.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from trivet.errors import InputError

Watched = Literal["bytes", "hits", "errors", "p95"]


@dataclass(frozen=True, slots=True)
class AlertRule:
    """What is watched and when it is too much; the defaults are 12 and 120 windows of 10 s, threshold 1.5.

    `minimum_rate` is in requests a second over the short windows: below it nothing alarms.
    `hysteresis` is the share below the raising level at which an alert is cleared.
    """

    watched: Watched = "bytes"
    short_median: int = 12
    long_median: int = 120
    threshold: float = 1.5
    time_resolution_s: int = 10
    hysteresis: float = 0.0
    minimum_rate: float = 0.05

    def __post_init__(self) -> None:
        if self.short_median < 1 or self.time_resolution_s < 1:
            raise InputError("the short median and the time resolution must be 1 or more")
        if self.short_median >= self.long_median:
            raise InputError(
                f"the short median ({self.short_median}) must be smaller"
                f" than the long median ({self.long_median})"
            )
        if not self.threshold > 1:
            raise InputError(f"the threshold ({self.threshold:g}) must be bigger than 1")
        if not 0 <= self.hysteresis < 1:
            raise InputError(f"the hysteresis ({self.hysteresis:g}) must be 0 or more and less than 1")


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """An alert was raised (or cleared) at the end of the window that ends at `time_s`.

    The averages are per window of the rule's time resolution; `rate` is requests a second.
    """

    raised: bool
    time_s: int
    watched: Watched
    short_average: float
    long_average: float
    threshold: float
    rate: float


@dataclass(slots=True)
class _Windows:
    """Values of the last windows: the short ones, and the long ones before them."""

    short_count: int
    long_count: int
    short: deque[float] = field(default_factory=deque)
    long: deque[float] = field(default_factory=deque)

    def push(self, value: float) -> None:
        self.short.append(value)
        if len(self.short) > self.short_count:
            self.long.append(self.short.popleft())
            if len(self.long) > self.long_count:
                self.long.popleft()


class Alarm:
    """Watches one series, window by window; `raised` says whether an alert is on."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.raised = False
        self._values = _Windows(rule.short_median, rule.long_median)
        self._hits: deque[int] = deque(maxlen=rule.short_median)

    def close_window(self, end_s: int, value: float, hits: int) -> AlertChanged | None:
        """Take the next window's watched `value` and its `hits`; return what changed at `end_s`, if anything.

        A window without hits is left out of a p95 watch: silence says nothing about latency.
        """
        if self.rule.watched == "p95" and not hits:
            return None
        self._values.push(value)
        self._hits.append(hits)
        short, long = self._values.short, self._values.long
        if len(long) < self.rule.short_median:
            return None
        short_average, long_average = sum(short) / len(short), sum(long) / len(long)
        rate = sum(self._hits) / (len(self._hits) * self.rule.time_resolution_s)
        level = long_average * self.rule.threshold
        if self.raised:
            too_much = short_average > level * (1 - self.rule.hysteresis)
        else:
            too_much = short_average > level and rate >= self.rule.minimum_rate
        if too_much == self.raised:
            return None
        self.raised = too_much
        return AlertChanged(
            too_much, end_s, self.rule.watched, short_average, long_average, self.rule.threshold, rate
        )

    def close_quiet_windows(self, first_end_s: int, count: int) -> list[AlertChanged]:
        """Take `count` windows without a request, the first of which ends at `first_end_s`."""
        changes = []
        for k in range(min(count, self.rule.short_median + self.rule.long_median)):
            change = self.close_window(first_end_s + k * self.rule.time_resolution_s, 0, 0)
            if change:
                changes.append(change)
        return changes
