"""Which runs are compared: two files, or two periods of one.

Rule: a period is FROM..TO of dates, or of days ago such as 14d..7d; a run belongs where it began.
"""

import datetime
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivet.errors import InputError
from trivet.insight.runs.cleaning import CleanEvents
from trivet.insight.runs.comparison import Comparison, compare
from trivet.insight.runs.event_table import Ints
from trivet.monitor.runs.analysis import Analysis, Question, analyse

_DAY_NS = 86_400 * 1_000_000_000
_NEVER = int(np.iinfo(np.int64).max)
_FEWEST_RUNS = 20


def compare_sets(a: str, b: str, of: Sequence[Path], question: Question) -> tuple[Comparison, Analysis]:
    """Compare set `b` with set `a`, each a file, a store or a period of the runs in `of`; returns `b` too."""
    whole: Analysis | None = None
    sets = []
    for words in (a, b):
        if Path(words).exists():
            sets.append(analyse([Path(words)], question))
            continue
        if ".." not in words:
            raise InputError(
                f"no file or store {words}; a period is written FROM..TO (2024-06-01..2024-06-08)"
            )
        whole = whole or analyse(of, question)
        sets.append(_in_period(whole, words))
    phases = dict.fromkeys([*sets[0].phases, *sets[1].phases])
    return compare(sets[0].events, sets[1].events, list(phases)), sets[1]


def newest_against_before(analysis: Analysis) -> tuple[Comparison, str] | None:
    """The last seven days of runs against the seven before, or where that says nothing, the newer half
    against the older; None with too few runs. Returns the comparison and what was compared.
    """
    began = _beginnings(analysis)
    begun = np.sort(began[began != _NEVER])
    if len(begun) < _FEWEST_RUNS:
        return None
    last, week = int(begun[-1]), 7 * _DAY_NS
    middle, first, words = last - week, last - 2 * week, "the last seven days against the seven before"
    counts = [
        int(np.count_nonzero((begun >= low) & (begun < high)))
        for low, high in ((first, middle), (middle, last))
    ]
    if min(counts) < _FEWEST_RUNS // 2:
        middle, first, words = int(begun[len(begun) // 2]), int(begun[0]), "the newer half against the older"
    older, newer = (_between(analysis, low, high) for low, high in ((first, middle), (middle, last + 1)))
    return compare(older.events, newer.events, analysis.phases), words


def _in_period(analysis: Analysis, words: str) -> Analysis:
    first, _, last = words.partition("..")
    found = _between(analysis, _edge(first, np.iinfo(np.int64).min), _edge(last, _NEVER))
    if not len(found.events.table):
        raise InputError(f"no run began in {words}")
    return found


def _between(analysis: Analysis, begin: int, end: int) -> Analysis:
    """The runs that began from `begin` on and before `end`."""
    began = _beginnings(analysis)
    keep = ((began >= begin) & (began < end))[analysis.events.table.run]
    table = analysis.events.table.only(keep)
    by_emit = analysis.events.time is analysis.events.table.emit
    events = CleanEvents(table, table.emit if by_emit else analysis.events.time[keep])
    return Analysis(events, analysis.phases, analysis.findings)


def _beginnings(analysis: Analysis) -> Ints:
    """When each run began, by code; _NEVER for one without events."""
    began = np.full(len(analysis.events.table.run_ids), _NEVER)
    np.minimum.at(began, analysis.events.table.run, analysis.events.time)
    return began


def _edge(words: str, otherwise: int) -> int:
    """An edge of a period in ns: a date, `7d` for seven days ago, or nothing for no edge."""
    if not words:
        return otherwise
    if words.endswith("d") and words[:-1].isdigit():
        return time.time_ns() - int(words[:-1]) * _DAY_NS
    try:
        moment = datetime.datetime.fromisoformat(words)
    except ValueError:
        raise InputError(f"'{words}' is neither a date (2024-06-01) nor days ago (7d)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return round(moment.timestamp()) * 1_000_000_000
