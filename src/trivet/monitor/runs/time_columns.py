"""Columns of times, as numbers of a stated unit or as dates of a stated zone, become nanoseconds.

Rule: a number is in `unit` (seconds unless told); a date without a zone is in `zone` (UTC unless told).
Rule: what is neither is told apart (None in the column of bad rows), never guessed.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trivet.errors import InputError
from trivet.insight.runs.event_table import UNKNOWN, Ints, Mask, seconds_to_ns

UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000}

#: Beyond this many seconds from 1970 (year 2262) nanoseconds no longer fit into 64 bits.
_MOST_S = 9_223_372_000


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How the times of a file are written: numbers in `unit`, dates without a zone in `zone`."""

    unit: str = "s"
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.unit not in UNITS_NS:
            raise InputError(f"no unit '{self.unit}': choose of {', '.join(UNITS_NS)}")
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise InputError(f"no time zone '{self.zone}': write it like Europe/Berlin or UTC") from None


def nanoseconds(column: pa.Array, format_: TimeFormat) -> tuple[Ints, Mask]:
    """Times of `column` in ns, UNKNOWN where it is empty, and a mask of the rows that are no times."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return _of_timestamps(column, format_)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _of_numbers(column, format_)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"a column of times holds {kind}: numbers, dates or text are understood")
    try:
        return _of_numbers(pc.if_else(pc.equal(column, ""), None, column).cast(pa.float64()), format_)
    except pa.ArrowInvalid:
        return _of_mixed_text(pc.utf8_trim_whitespace(column), format_)


def _of_mixed_text(text: pa.Array, format_: TimeFormat) -> tuple[Ints, Mask]:
    """Numbers and dates in one column, and what is neither."""
    text = pc.if_else(pc.equal(text, ""), None, text)
    numeric = pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$").fill_null(False)
    numbers, bad_numbers = _of_numbers(pc.if_else(numeric, text, None).cast(pa.float64()), format_)
    dates, bad_dates = _of_dates(pc.if_else(numeric, None, text), format_)
    is_number = numeric.to_numpy(zero_copy_only=False)
    return np.where(is_number, numbers, dates), np.where(is_number, bad_numbers, bad_dates)


def _of_numbers(column: pa.Array, format_: TimeFormat) -> tuple[Ints, Mask]:
    factor = UNITS_NS[format_.unit]
    missing = column.is_null().to_numpy(zero_copy_only=False)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore", over="ignore"):
        seconds = values.astype(np.float64) * (factor / 1e9)
        bad = ~(np.abs(seconds) < _MOST_S)
        if np.issubdtype(values.dtype, np.integer):
            times = np.where(bad, 0, values).astype(np.int64) * factor
        else:
            times = seconds_to_ns(np.where(bad, 0, seconds))
    return np.where(missing | bad, UNKNOWN, times), bad & ~missing


def _of_timestamps(column: pa.Array, format_: TimeFormat) -> tuple[Ints, Mask]:
    if column.type.tz is None and format_.zone != "UTC":
        column = pc.assume_timezone(column, format_.zone, ambiguous="earliest", nonexistent="earliest")
    try:
        times = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    except pa.ArrowInvalid:
        raise InputError("a date lies outside 1677 to 2262") from None
    return times.fill_null(UNKNOWN).to_numpy(zero_copy_only=False), np.zeros(len(column), np.bool_)


def _of_dates(text: pa.Array, format_: TimeFormat) -> tuple[Ints, Mask]:
    """Dates as ISO 8601 writes them; each form is tried on the whole column, then what is left is bad."""
    times = np.full(len(text), UNKNOWN)
    with_zone = pc.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$").fill_null(False)
    iso = pc.match_substring_regex(
        text,
        r"^\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?"
        r"(Z|[+-]\d\d:?\d\d)?$",
    ).fill_null(False)
    for zoned in (True, False):
        chosen = pc.and_(iso, with_zone if zoned else pc.invert(with_zone))
        rows = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
        if not len(rows):
            continue
        part = text.take(pa.array(rows))
        try:
            stamps = part.cast(pa.timestamp("ns", "UTC" if zoned else None))
        except pa.ArrowInvalid:
            stamps = pa.array([_one_date(value.as_py(), zoned) for value in part])
        times[rows], _ = _of_timestamps(stamps, format_)
    given = pc.is_valid(text).to_numpy(zero_copy_only=False)
    return times, given & (times == UNKNOWN)


def _one_date(words: str, zoned: bool) -> pa.Scalar:
    """One date, or null where the calendar has no such day (30 February)."""
    kind = pa.timestamp("ns", "UTC" if zoned else None)
    try:
        return pa.scalar(words).cast(kind)
    except pa.ArrowInvalid:
        return pa.scalar(None, kind)
