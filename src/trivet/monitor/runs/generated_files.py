"""Writes made-up test runs to a file, to try things with."""

from pathlib import Path

import numpy as np

from trivet.errors import InputError
from trivet.insight.runs.generator import generate
from trivet.monitor.runs.hdf5_files import write_hdf5
from trivet.monitor.runs.table_files import write_table


def write_generated(runs: int, seed: int, out: Path) -> None:
    """Write `runs` test runs made from `seed` to `out` (.h5, .csv, .parquet)."""
    if runs < 1:
        raise InputError("at least one run must be generated")
    if seed < 0:
        raise InputError("a seed is 0 or more")
    table = generate(runs, np.random.default_rng(seed))
    try:
        match out.suffix.lower():
            case ".h5" | ".hdf5":
                write_hdf5(table, out)
            case ".csv" | ".parquet":
                write_table(table, out)
            case _:
                raise InputError(f"can't tell the format of '{out.name}': end it in .h5, .csv or .parquet")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror or error}") from None
