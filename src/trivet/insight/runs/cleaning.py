"""The rules that make a table of events fit to be counted, each one told and each one a switch.

Rule: what a rule leaves out or finds odd is counted and said; nothing is clamped or mended in silence.
Rule: order and durations follow one clock: of emission, or with `by="receive"` the receiver's.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from trivet.errors import InputError
from trivet.insight.runs.clocks import ClockOffset, clock_offsets, corrected
from trivet.insight.runs.event_table import BLOCK_ROWS, SECOND_NS, UNKNOWN, EventTable, Ints, Mask
from trivet.insight.runs.repeats import repeated_events, unlike_repeats

#: Rules that can leave events out, and what they find.
DROPPABLE = {
    "duplicates": "the same event again",
    "late": "received long after it was emitted",
    "future": "later than now",
    "negative-times": "before 1970",
}

_DAY_NS = 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Rules:
    """What to do with odd events: `drop` names rules of DROPPABLE whose finds are left out.

    `late_after_s`: an event received later than this after it was emitted counts as late.
    `correct_clocks`: shift each source's clock by its estimated offset; otherwise it is only told.
    """

    by: Literal["emit", "receive"] = "emit"
    drop: frozenset[str] = frozenset({"duplicates"})
    late_after_s: float = 60.0
    correct_clocks: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """A `rule` met `count` events (or runs, as `words` say); `dropped` tells whether they were left out."""

    rule: str
    count: int
    words: str
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class CleanEvents:
    """A `table` fit to be counted: `time` is each event's time on the chosen clock, never UNKNOWN."""

    table: EventTable
    time: Ints
    findings: tuple[Finding, ...] = ()
    offsets: tuple[ClockOffset, ...] = field(default=())


def clean(table: EventTable, rules: Rules, now_ns: int) -> CleanEvents:
    """Apply `rules` to `table`; `now_ns` tells which times lie in the future."""
    unknown_rules = rules.drop - DROPPABLE.keys()
    if unknown_rules:
        raise InputError(f"no rule '{min(unknown_rules)}': choose of {', '.join(DROPPABLE)}")
    offsets = clock_offsets(table)
    findings = _clock_findings(offsets, rules)
    if rules.correct_clocks:
        table = replace(table, emit=corrected(table, offsets))
    for rule, words in DROPPABLE.items():
        odd = _odd_events(rule, table, rules, now_ns)
        count = 0 if odd is None else int(np.count_nonzero(odd))
        if odd is not None and count:
            dropped = rule in rules.drop
            findings.append(Finding(rule, count, f"{count:,} events: {words}{_hint(rule)}", dropped))
            if rule == "duplicates" and (unlike := unlike_repeats(table, odd)):
                told = (
                    f"{unlike:,} of them have the number of another event but say something else: in a run "
                )
                told += "each event of a source needs a sequence of its own"
                findings.append(Finding("reused-numbers", unlike, told, dropped))
            table = table.only(~odd) if dropped else table
    time = table.emit if rules.by == "emit" else table.receive
    timeless = time == UNKNOWN
    if timeless.any():
        other = "receive" if rules.by == "emit" else "emit"
        words = f"{np.count_nonzero(timeless):,} events without a time of '{rules.by}' (see --by {other})"
        findings.append(Finding("no-time", int(np.count_nonzero(timeless)), words, dropped=True))
        table, time = table.only(~timeless), time[~timeless]
    return CleanEvents(table, time, tuple(findings), offsets)


def _odd_events(rule: str, table: EventTable, rules: Rules, now_ns: int) -> Mask | None:
    """The events of `table` that `rule` finds odd, None when there is none for sure."""
    if not len(table):
        return None
    if rule == "duplicates":
        return repeated_events(table)
    if rule == "late":
        blocks = range(0, len(table), BLOCK_ROWS)
        return np.concatenate([_late(table, first, int(rules.late_after_s * SECOND_NS)) for first in blocks])
    if rule == "future":
        latest = int(table.emit.max())
        return table.emit > now_ns + _DAY_NS if latest > now_ns + _DAY_NS else None
    earliest = int(table.emit.min())
    if earliest >= 0:
        return None
    negative: Mask = (table.emit < 0) & (table.emit != UNKNOWN)
    return negative


def _late(table: EventTable, first: int, after_ns: int) -> Mask:
    """Which events of one block came later than `after_ns`; unknown times are never late."""
    emit, receive = (column[first : first + BLOCK_ROWS] for column in (table.emit, table.receive))
    known = (receive != UNKNOWN) & (emit != UNKNOWN)
    late: Mask = known & (receive - np.where(known, emit, 0) > after_ns)
    return late


def _hint(rule: str) -> str:
    if rule == "future":
        return " (is --unit right? numbers are seconds unless it says ms, us, ns or min)"
    if rule == "negative-times":
        return " (--drop duplicates,negative-times leaves them out)"
    return ""


def _clock_findings(offsets: tuple[ClockOffset, ...], rules: Rules) -> list[Finding]:
    shown = [offset for offset in offsets if abs(offset.behind_s) >= 0.001]
    return [
        Finding(
            "clock-offset",
            offset.events,
            f"the clock of source '{offset.source}' is about {abs(offset.behind_s):.3f} s "
            f"{'behind' if offset.behind_s > 0 else 'ahead of'} that of '{offset.reference}'"
            + (": corrected" if rules.correct_clocks else "; --correct-clocks shifts it"),
        )
        for offset in shown
    ]
