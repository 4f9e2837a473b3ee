"""`trivet runs compare|export`: two sets of runs side by side, and runs for other programs to look at."""

from pathlib import Path

from trivet.cli.runs import PLAIN_INPUT, PLAIN_SOURCE, InputOptions, SourceOptions, default_store
from trivet.errors import InputError


def compare(
    a: str,
    b: str,
    /,
    *,
    of: list[Path] | None = None,
    json: bool = False,
    out: Path | None = None,
    options: InputOptions = PLAIN_INPUT,
) -> None:
    """Tell what changed from the runs of A to those of B, which values explain it, and whether it is noise.

    Parameters
    ----------
    a
        A file, a store, or a period FROM..TO of dates or days ago: 2024-06-01..2024-06-08, 14d..7d.
    b
        The same; compared with A.
    of
        The files or the store that periods are taken from.
    json
        Print one JSON object.
    out
        X.html: the report about B with the comparison as a tab.
    """
    from trivet.monitor.runs.comparing import compare_sets
    from trivet.monitor.runs.comparison_output import (
        print_comparison,
        print_comparison_json,
        write_comparison,
    )

    comparison, later = compare_sets(a, b, of or [default_store()], options.question())
    if out is not None:
        write_comparison(comparison, later, out, title=f"{b}, compared with {a}")
    elif json:
        print_comparison_json(comparison)
    else:
        print_comparison(comparison)


def export(
    files: list[Path] | None = None,
    /,
    *,
    out: Path,
    runs: int = 1000,
    options: SourceOptions = PLAIN_SOURCE,
) -> None:
    """Write the newest runs as a Chrome trace, which Perfetto (ui.perfetto.dev) opens too.

    Parameters
    ----------
    files
        Files of events, or the folder of a store (the default store unless told).
    out
        X.json.
    runs
        How many of the newest runs.
    """
    from trivet.monitor.runs.chrome_trace import write_chrome_trace

    if runs < 1:
        raise InputError("--runs wants at least 1")
    written = write_chrome_trace(options.analysis(files), out, runs=runs)
    print(f"{written:,} runs in {out}")
