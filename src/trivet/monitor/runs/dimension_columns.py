"""Dimensions of runs as Arrow columns: one text a run, several values of one joined by ';'."""

import numpy as np
import pyarrow as pa

from trivet.insight.runs.event_table import Dimension, EventTable


def dimension_columns(table: EventTable) -> dict[str, pa.Array]:
    """{dimension: one text for each run of `table`, null where it has none}."""
    return {name: _column(dimension, len(table.run_ids)) for name, dimension in table.dimensions.items()}


def _column(dimension: Dimension, runs: int) -> pa.Array:
    codes = np.full(runs, -1, np.int64)
    codes[dimension.run] = dimension.value
    texts = pa.array(list(dimension.values), pa.string())
    single = texts.take(pa.array(codes, mask=codes < 0))
    if len(np.unique(dimension.run)) == len(dimension.run):
        return single
    joined: list[str | None] = [None] * runs
    for run, value in zip(dimension.run.tolist(), dimension.value.tolist(), strict=True):
        before = joined[run]
        joined[run] = (
            str(dimension.values[value]) if before is None else f"{before};{dimension.values[value]}"
        )
    return pa.array(joined, pa.string())
