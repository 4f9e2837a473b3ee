"""What every reader of event files shares: the names of columns, and how odd rows are counted.

Rule: a row that can't be an event is left out, counted, and the first few are kept with their reason.
Rule: what a format can't tell is said in a note, once a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trivet.errors import InputError
from trivet.insight.runs.cleaning import Finding
from trivet.insight.runs.event_table import Ints
from trivet.monitor.runs.mixed_units import UnitWatch
from trivet.monitor.runs.table_builder import Chunk, TableBuilder, no_times
from trivet.monitor.runs.time_columns import TimeFormat, nanoseconds

#: What a column may be called; the first name is the one we write.
NAMES = {
    "run": ("testrun_id", "run_id", "run"),
    "name": ("event_name", "ev_name", "name", "event"),
    "emit": ("event_emit", "emit"),
    "receive": ("event_receive", "received", "receive"),
    "source": ("source",),
    "sequence": ("sequence",),
}
_EXAMPLES_KEPT = 5
_NO_TIME = (
    "is no time before 2262 (numbers are seconds unless --unit says ms, us, ns or min; a file has one unit)"
)


@dataclass(slots=True)
class Reading:
    """The state of reading files into one table: the `builder`, how times are written, what was odd."""

    builder: TableBuilder
    times: TimeFormat
    notes: list[Finding] = field(default_factory=list)
    bad_rows: int = 0
    bad_examples: list[str] = field(default_factory=list)
    units: dict[str, UnitWatch] = field(default_factory=dict)

    def unit_watch(self, path: str) -> UnitWatch:
        """What was seen of the units of times in the file `path`."""
        return self.units.setdefault(path, UnitWatch(self.times.unit))

    def bad(self, where: str, reason: str, count: int = 1) -> None:
        """Count `count` rows that are no events; the first few are kept with `where` they are."""
        self.bad_rows += count
        if len(self.bad_examples) < _EXAMPLES_KEPT:
            self.bad_examples.append(f"{where}: {reason}")

    def note(self, rule: str, words: str, count: int = 0) -> None:
        """Say what can't be known of what was read."""
        self.notes.append(Finding(rule, count, words))

    def findings(self) -> list[Finding]:
        """All that was odd, to be told with the result."""
        told = [(path, watch.words(path), sum(watch.others.values())) for path, watch in self.units.items()]
        notes = [*self.notes, *(Finding("mixed-units", count, words) for _, words, count in told if words)]
        if not self.bad_rows:
            return notes
        words = f"{self.bad_rows:,} rows are no events, such as {'; '.join(self.bad_examples)}"
        return [Finding("bad-rows", self.bad_rows, words, dropped=True), *notes]


def roles_of(columns: list[str], path: str) -> dict[str, str]:
    """{role: column} for the `columns` of the file `path`; raises InputError when a needed one lacks."""
    roles = {role: next((n for n in names if n in columns), "") for role, names in NAMES.items()}
    roles = {role: column for role, column in roles.items() if column}
    lacking = [role for role in ("run", "name") if role not in roles]
    if not {"emit", "receive"} & roles.keys():
        lacking.append("emit")
    if lacking:
        raise InputError(
            f"{path} has no column {', '.join(NAMES[role][0] for role in lacking)}; a table of events needs "
            f"testrun_id, event_name, event_emit and, where known, event_receive. "
            f"It has: {', '.join(columns[:20]) or 'none'}"
        )
    return roles


def named(batch: pa.RecordBatch, path: str) -> dict[str, pa.Array]:
    """The columns of `batch` by name; raises InputError when two have the same."""
    names = batch.schema.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called '{twice}': rename one")
    return dict(zip(names, batch.columns, strict=True))


def add_columns(reading: Reading, columns: Mapping[str, pa.Array], path: str, first_row: int) -> None:
    """Take one batch of `columns` of the file `path` into the table; its rows count from `first_row`."""
    roles = roles_of(list(columns), path)
    run, name = (_text(columns[roles[role]]) for role in ("run", "name"))
    rows = len(run)
    times, bad = {}, np.zeros(rows, np.bool_)
    for role in ("emit", "receive"):
        if role in roles:
            times[role], wrong = nanoseconds(columns[roles[role]], reading.times)
            _tell_bad(reading, columns[roles[role]], wrong & ~bad, path, first_row, _NO_TIME)
            bad |= wrong
            other = reading.unit_watch(path).suspects(times[role]) & ~bad
            _tell_bad(
                reading, columns[roles[role]], other, path, first_row, "counts another unit than the rest"
            )
            bad |= other
        else:
            times[role] = no_times(rows)
    for column, words in ((run, "has no run"), (name, "has no event name")):
        empty = pc.or_(pc.is_null(column), pc.equal(column, "").fill_null(True)).to_numpy(
            zero_copy_only=False
        )
        _tell_bad(reading, column, empty & ~bad, path, first_row, words)
        bad |= empty
    dimensions = {c: _text(columns[c]) for c in columns if c not in roles.values()}
    numbered = "source" in roles and "sequence" in roles and not columns[roles["sequence"]].null_count
    chunk = Chunk(
        run,
        name,
        times["emit"],
        times["receive"],
        source=_text(columns[roles["source"]]).fill_null("") if numbered else None,
        sequence=_whole(columns[roles["sequence"]], path) if numbered else None,
        dimensions=dimensions,
    )
    reading.builder.add(chunk if not bad.any() else _without(chunk, ~bad))


def _without(chunk: Chunk, keep: np.ndarray) -> Chunk:
    mask = pa.array(keep)
    return Chunk(
        chunk.run.filter(mask),
        chunk.name.filter(mask),
        chunk.emit[keep],
        chunk.receive[keep],
        None if chunk.source is None else chunk.source.filter(mask),
        None if chunk.sequence is None else chunk.sequence[keep],
        {name: column.filter(mask) for name, column in chunk.dimensions.items()},
    )


def _tell_bad(
    reading: Reading, column: pa.Array, bad: np.ndarray, path: str, first_row: int, words: str
) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        shown = repr(column[int(rows[0])].as_py())[:60]
        reading.bad(f"{path} row {first_row + int(rows[0])}", f"{shown} {words}", len(rows))


def _text(column: pa.Array) -> pa.Array:
    """Any column as strings; what has no text of its own (lists, structs) is shown as Python shows it."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_dictionary(kind):
        return _text(column.dictionary_decode())
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        raise InputError("a column of bytes is not UTF-8 text: write it as text") from None


def _whole(column: pa.Array, path: str) -> Ints:
    try:
        numbers: Ints = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        raise InputError(f"{path}: a sequence is not a whole number: leave that column out") from None
    return numbers
