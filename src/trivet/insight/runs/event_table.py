"""The table of events in memory: one numpy column a field, names and runs as codes.

Rule: times are whole nanoseconds (since 1970 where the source tells it); UNKNOWN marks one nobody knows.
Rule: a dimension belongs to the run; a run with several values of one (its workers) counts under each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

UNKNOWN = int(np.iinfo(np.int64).min)
SECOND_NS = 1_000_000_000

#: Rows that are worked on at a time where a temporary copy of a whole column would be large.
BLOCK_ROWS = 1 << 20


class RunIds(Protocol):
    """Names of runs by code: a list of strings, or an Arrow string array that takes less memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, code: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Dimension:
    """Which runs have which value: pairs of a `run` code and a `value` code, each pair once."""

    values: Sequence[str]
    run: Codes
    value: Codes


@dataclass(frozen=True, slots=True)
class EventTable:
    """Events of runs: `run`, `name` and `source` are codes into `run_ids`, `names` and `sources`.

    `sequence` numbers the events of a (run, source); None where the input had no numbers.
    `ids_unique` says that whoever made the table has left out repeated (run, source, sequence).
    """

    run_ids: RunIds
    names: Sequence[str]
    run: Codes
    name: npt.NDArray[np.int16]
    emit: Ints
    receive: Ints
    sources: Sequence[str] = ("",)
    source: npt.NDArray[np.int16] | None = None
    sequence: Ints | None = None
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    ids_unique: bool = False

    def __len__(self) -> int:
        return len(self.run)

    def run_id(self, code: int) -> str:
        """The name of the run with `code`."""
        return str(self.run_ids[int(code)])

    def run_ids_list(self) -> Any:
        """All names of runs by code: a list, or the Arrow array that takes its place."""
        return getattr(self.run_ids, "array", self.run_ids)

    def events_per_name(self) -> Ints:
        """How many events each name has, by code; in blocks, for numpy counts in copies of 8 bytes a row."""
        counts = np.zeros(len(self.names), np.int64)
        for first in range(0, len(self), BLOCK_ROWS):
            counts += np.bincount(self.name[first : first + BLOCK_ROWS], minlength=len(self.names))
        return counts

    def only(self, keep: Mask | npt.NDArray[np.intp]) -> "EventTable":
        """The events at which the mask `keep` is true, or whose rows it names; codes stay as they are."""
        return replace(
            self,
            run=self.run[keep],
            name=self.name[keep],
            emit=self.emit[keep],
            receive=self.receive[keep],
            source=None if self.source is None else self.source[keep],
            sequence=None if self.sequence is None else self.sequence[keep],
        )

    def runs_where(self, dimension: str, value: str) -> Mask:
        """A mask over run codes: the runs whose `dimension` has `value`."""
        mask = np.zeros(len(self.run_ids), np.bool_)
        column = self.dimensions.get(dimension)
        if column is not None and value in column.values:
            mask[column.run[column.value == list(column.values).index(value)]] = True
        return mask


def seconds_to_ns(seconds: npt.NDArray[np.float64]) -> Ints:
    """Nanoseconds of `seconds`, without the loss of one multiplication by 1e9 (256 ns in 2024)."""
    whole = np.floor(seconds)
    return whole.astype(np.int64) * SECOND_NS + np.rint((seconds - whole) * SECOND_NS).astype(np.int64)
