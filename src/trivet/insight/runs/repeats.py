"""Which events of a table are there twice.

Rule: with numbered events the same (run, source, sequence) is a repeat; without, only an event that is
equal in run, name and both times. The first in table order stays.
"""

import numpy as np

from trivet.insight.runs.event_table import EventTable, Ints, Mask


def repeated_events(table: EventTable) -> Mask | None:
    """A mask of the events that repeat an earlier one; None when there is none."""
    if table.ids_unique:
        return None
    if table.sequence is not None:
        source = table.source if table.source is not None else np.zeros(len(table), np.int16)
        return _repeats(table, np.arange(len(table)), (table.sequence, source, table.run))
    rows = _rows_of_repeated_names(table)
    if rows is None:
        return None
    return _repeats(table, rows, (table.receive[rows], table.emit[rows], table.name[rows], table.run[rows]))


def unlike_repeats(table: EventTable, repeated: Mask) -> int:
    """How many of the `repeated` events of `table` have an earlier one's number but say something else."""
    if table.sequence is None:
        return 0
    rows = np.flatnonzero(np.isin(table.run, np.unique(table.run[repeated])))
    columns = (table.receive, table.emit, table.name, table.sequence, table.run)
    alike = _repeats(table, rows, tuple(column[rows] for column in columns))
    return int(np.count_nonzero(repeated if alike is None else repeated & ~alike))


def _rows_of_repeated_names(table: EventTable) -> Ints | None:
    """Rows whose run has their name more than once: few in most tables, and only they can be repeats."""
    found = []
    for code in range(len(table.names)):
        rows = np.flatnonzero(table.name == code)
        per_run = np.bincount(table.run[rows], minlength=1)
        if per_run.max() > 1:
            found.append(rows[per_run[table.run[rows]] > 1])
    return np.sort(np.concatenate(found)) if found else None


def _repeats(table: EventTable, rows: Ints, columns: tuple[np.ndarray, ...]) -> Mask | None:
    """Mark those of `rows` whose `columns` equal an earlier row's (np.lexsort is stable: the first stays)."""
    order = np.lexsort(columns)
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return None
    mask = np.zeros(len(table), np.bool_)
    mask[rows[order[1:][same]]] = True
    return mask
