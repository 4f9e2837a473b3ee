"""Pairing and statistics against plain Python that does one event at a time, on whatever events there are."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.cleaning import Rules, clean
from trivet.insight.runs.durations import phase_spans
from trivet.insight.runs.event_table import SECOND_NS, EventTable
from trivet.insight.runs.phases import Phase
from trivet.insight.runs.statistics import run_statistics

PHASE = Phase("p", "p_start", "p_end")
NAMES = ["p_start", "p_end", "else"]

#: (run, event, second)
Rows = list[tuple[int, int, int]]
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-5, 20)), max_size=30)


def table(events: Rows) -> EventTable:
    """The events as a table."""
    columns = np.array(events, np.int64).reshape(-1, 3)
    return EventTable(
        [f"run{n}" for n in range(4)],
        NAMES,
        columns[:, 0].astype(np.int32),
        columns[:, 1].astype(np.int16),
        columns[:, 2] * SECOND_NS,
        columns[:, 2] * SECOND_NS,
    )


def by_hand(events: Rows) -> tuple[list[tuple[int, int]], list[int], int]:
    """((run, duration) pairs, runs of open starts, orphans), one event after the other."""
    pairs, opened, orphans = [], [], 0
    for run in range(4):
        mine = [(at, name) for r, name, at in events if r == run and name < 2]
        if sorted(name for _, name in mine) == [0, 1]:
            pairs.append((run, sum(at if name else -at for at, name in mine)))
            continue
        start: int | None = None
        for at, name in sorted(mine, key=lambda event: event[0]):
            if name == 0:
                opened += [run] if start is not None else []
                start = at
            elif start is None:
                orphans += 1
            else:
                pairs.append((run, at - start))
                start = None
        opened += [run] if start is not None else []
    return sorted(pairs), sorted(opened), orphans


@settings(max_examples=300, deadline=None)
@given(rows)
def test_stretches_are_those_found_by_hand(events: Rows) -> None:
    kept = list(dict.fromkeys(events))
    spans = phase_spans(clean(table(events), Rules(), now_ns=10**18), PHASE)
    found = sorted(zip(spans.run.tolist(), (spans.seconds()).astype(int).tolist(), strict=True))
    assert (found, sorted(spans.open_run.tolist()), spans.orphans) == by_hand(kept)


@settings(max_examples=150, deadline=None)
@given(rows.filter(bool))
def test_bars_are_as_long_as_their_runs(events: Rows) -> None:
    clean_events = clean(table(events), Rules(), now_ns=10**18)
    pages = BarPages(clean_events, [PHASE])
    bars = [bar for page in pages for bar in page]
    assert len(bars) == len({run for run, _, _ in events}) == run_statistics(clean_events, [PHASE]).runs
    assert [bar.begin_ns for bar in bars] == sorted((bar.begin_ns for bar in bars), reverse=True)
    for bar in bars:
        assert abs(sum(bar.seconds.values()) - bar.total_s) < 1e-9
        assert all(seconds > 0 for seconds in bar.seconds.values())
