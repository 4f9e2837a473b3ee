"""The rules of cleaning and pairing: what is odd is counted, and only left out when told."""

import numpy as np
import pytest

from trivet.errors import InputError
from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.cleaning import CleanEvents, Rules, clean
from trivet.insight.runs.durations import Spans, phase_spans
from trivet.insight.runs.event_table import SECOND_NS, UNKNOWN, EventTable
from trivet.insight.runs.phases import OTHER, TEST_RUN_PHASES, Phase, parse_phase, phases_of
from trivet.insight.runs.statistics import run_statistics

NOW = 2_000_000_000 * SECOND_NS
FLASH = next(phase for phase in TEST_RUN_PHASES if phase.name == "flash")
Row = tuple[str, str, float, float | None] | tuple[str, str, float, float | None, str, int]


def table(*rows: Row) -> EventTable:
    """A table of rows (run, name, emit in s, receive in s or None[, source, sequence])."""
    runs, names = (list(dict.fromkeys(row[i] for row in rows)) for i in (0, 1))
    sources = list(dict.fromkeys(row[4] for row in rows if len(row) > 4))
    return EventTable(
        runs,
        names,
        np.array([runs.index(row[0]) for row in rows], np.int32),
        np.array([names.index(row[1]) for row in rows], np.int16),
        np.array([round(row[2] * SECOND_NS) for row in rows], np.int64),
        np.array([UNKNOWN if row[3] is None else round(row[3] * SECOND_NS) for row in rows], np.int64),
        sources=sources or [""],
        source=np.array([sources.index(row[4]) for row in rows], np.int16) if sources else None,
        sequence=np.array([row[5] for row in rows], np.int64) if sources else None,
    )


def found(events: CleanEvents) -> dict[str, tuple[int, bool]]:
    """{rule: (count, dropped)} of the findings."""
    return {finding.rule: (finding.count, finding.dropped) for finding in events.findings}


def seconds(spans: Spans) -> list[float]:
    """Durations in the order of their beginning."""
    return spans.seconds()[np.argsort(spans.begin, kind="stable")].tolist()


def flash(*times: tuple[str, float]) -> Spans:
    """The flash stretches of one run with these (start|end, time)."""
    rows: list[Row] = [("r", f"flash_{kind}", at, at) for kind, at in times]
    return phase_spans(clean(table(*rows), Rules(), NOW), FLASH)


def test_one_start_and_one_end_are_a_pair_even_the_wrong_way_round() -> None:
    spans = flash(("start", 10), ("end", 7))
    assert seconds(spans) == [-3.0]
    statistics = run_statistics(
        clean(table(("r", "flash_start", 10, 1), ("r", "flash_end", 7, 1)), Rules(), NOW), [FLASH]
    )
    assert (statistics.phases[0].negative, statistics.phases[0].summary["min"]) == (1, -3.0)


def test_repeated_phases_are_attempts_whatever_the_order_of_rows() -> None:
    spans = flash(("end", 25), ("start", 20), ("start", 0), ("end", 10))
    assert seconds(spans) == [10.0, 5.0]
    assert sorted(spans.attempt.tolist()) == [1, 2]


def test_an_attempt_that_never_ended_is_open_and_in_no_mean() -> None:
    spans = flash(("start", 0), ("start", 20), ("end", 25))
    assert (seconds(spans), spans.open_begin.tolist(), spans.attempt.tolist()) == ([5.0], [0], [2])
    lonely = flash(("start", 3))
    assert (seconds(lonely), len(lonely.open_run)) == ([], 1)


def test_an_end_without_a_start_is_told() -> None:
    assert flash(("end", 3)).orphans == 1
    assert flash(("end", 3), ("start", 5), ("end", 6)).orphans == 1


def test_attempts_that_touch_are_told_apart_by_the_order_of_rows() -> None:
    assert seconds(flash(("start", 0), ("end", 5), ("start", 5), ("end", 9))) == [5.0, 4.0]


def test_events_that_phases_share_are_not_called_open_or_orphans() -> None:
    rows = [
        ("r", name, float(at), None)
        for at, name in enumerate(["test_start", "test_end", "test_start", "test_end"])
    ]
    events = clean(table(*rows, ("r", "publish", 9.0, None)), Rules(), NOW)
    publish = TEST_RUN_PHASES[-1]
    spans = phase_spans(events, publish, TEST_RUN_PHASES)
    assert (seconds(spans), len(spans.open_run)) == ([6.0], 0)


def test_duplicates_by_identity_and_by_content() -> None:
    numbered = table(("r", "a", 1, 2, "s", 1), ("r", "a", 5, 6, "s", 1), ("r", "a", 1, 2, "s", 2))
    events = clean(numbered, Rules(), NOW)
    assert found(events) == {"duplicates": (1, True), "reused-numbers": (1, True)}
    assert events.time.tolist() == [SECOND_NS, SECOND_NS]
    plain = table(("r", "a", 1, 2), ("r", "a", 1, 3), ("q", "a", 1, 2), ("r", "a", 1, 2))
    assert found(clean(plain, Rules(), NOW)) == {"duplicates": (1, True)}
    assert len(clean(plain, Rules(drop=frozenset()), NOW).table) == 4


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("late", ("r", "b", 10.0, 100.0)),
        ("future", ("r", "b", 2_000_100_000.0, 2_000_100_000.0)),
        ("negative-times", ("r", "b", -5.0, -5.0)),
    ],
)
def test_odd_events_are_told_and_left_out_only_when_told(rule: str, row: Row) -> None:
    events = table(("r", "a", 10.0, 11.0), row)
    kept, dropped = clean(events, Rules(), NOW), clean(events, Rules(drop=frozenset({rule})), NOW)
    assert (found(kept)[rule], len(kept.table)) == ((1, False), 2)
    assert (found(dropped)[rule], len(dropped.table)) == ((1, True), 1)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InputError, match="choose of duplicates, late"):
        clean(table(("r", "a", 1, 1)), Rules(drop=frozenset({"ghosts"})), NOW)


def test_the_offset_of_a_clock_is_told_and_corrected_when_asked() -> None:
    rows = [("r", "flash_start", 100.0 + n, 100.1 + n, "good", n) for n in range(5)]
    rows.append(("r2", "flash_start", 200.0, 200.1, "good", 9))
    rows.append(("r2", "flash_end", 177.0, 207.1, "slow", 1))
    told = clean(table(*rows), Rules(), NOW)
    slow = next(offset for offset in told.offsets if offset.source == "slow")
    assert (slow.behind_s, slow.reference) == (pytest.approx(30.0), "good")
    assert seconds(phase_spans(told, FLASH)) == [-23.0]
    assert seconds(phase_spans(clean(table(*rows), Rules(correct_clocks=True), NOW), FLASH)) == [7.0]


def test_by_receive_leaves_out_what_has_no_receipt() -> None:
    events = table(("r", "flash_start", 1, 2), ("r", "flash_end", 5, 9), ("r", "x", 5, None))
    received = clean(events, Rules(by="receive"), NOW)
    assert seconds(phase_spans(received, FLASH)) == [7.0]
    assert found(received) == {"no-time": (1, True)}


def test_bars_count_no_moment_twice_and_show_the_rest_as_other() -> None:
    phases = [Phase("outer", "o1", "o2"), Phase("inner", "i1", "i2")]
    rows: list[Row] = [
        ("r", n, t, None) for n, t in [("a", 0), ("o1", 1), ("i1", 3), ("i2", 4), ("o2", 9), ("z", 11)]
    ]
    (bar,) = BarPages(clean(table(*rows), Rules(), NOW), phases).page(1)
    assert bar.seconds == {"outer": 7.0, "inner": 1.0, OTHER: 3.0}
    assert sum(bar.seconds.values()) == bar.total_s


def test_phases_come_from_declaration_waypoints_and_names() -> None:
    names = ["test_start", "test_end", "wash_start", "rinse_end", "other"]
    assert [phase.name for phase in phases_of(names)] == ["test", "rinse", "wash"]
    assert phases_of(names, [parse_phase("all=test_start..other")]) == (Phase("all", "test_start", "other"),)
    with pytest.raises(InputError, match=r"NAME=START_EVENT\.\.END_EVENT"):
        parse_phase("all=test_start")
