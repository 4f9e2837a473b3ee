"""`trivet runs`: where the time of test runs goes.

Rule: heavy libraries are imported by the verb that needs them, so that `emit` starts fast.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App, Parameter

from trivet.cli.wrong_use import nearest
from trivet.errors import InputError

if TYPE_CHECKING:
    from trivet.monitor.runs.analysis import Analysis, Question
    from trivet.monitor.runs.time_columns import TimeFormat

app = App(
    name="runs",
    help="Where the time of test runs goes: chart, statistics, what changed.",
    default_parameter=Parameter(negative=()),
)

for _name, _place, _help in (
    ("compare", "runs_more:compare", "Tell what changed between two sets of runs, and what explains it."),
    ("export", "runs_more:export", "Write the newest runs as a Chrome trace, for Perfetto."),
    ("emit", "runs_store:emit_", "Put one event into a store."),
    ("import", "runs_store:import_", "Read files of events into a store."),
    ("compact", "runs_store:compact_", "Put a store's small segments together."),
    ("forget", "runs_store:forget_", "Drop a store's old events."),
):
    app.command(f"trivet.cli.{_place}", name=_name, help=_help)


_LATEST_S = 10**9  # 31 years: in nanoseconds it still is a 64-bit number


#: As everywhere; the module that names it loads more than `runs emit` may wait for.
DEFAULT_STATE = Path("trivet-state")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How files are read."""

    format: str = ""
    """The format of all files, if names do not tell: csv, parquet, jsonl, hdf5, junit, otlp, chrome, github,
    processes."""
    unit: Literal["s", "ms", "us", "ns", "min"] = "s"
    "What the numbers of times count."
    zone: str = "UTC"
    "The time zone of dates that name none."
    memory_mib: int = 0
    "The most memory that events may take (half of what is free unless told)."

    def times(self) -> "TimeFormat":
        """How times are written; raises InputError where an option makes no sense."""
        from trivet.monitor.runs.time_columns import TimeFormat

        if self.memory_mib < 0:
            raise InputError("--memory-mib wants a number of MiB (0: half of what is free)")
        return TimeFormat(self.unit, self.zone)


@dataclass(frozen=True, kw_only=True)
class InputOptions(ReadOptions):
    """How the input is read and cleaned."""

    by: Literal["emit", "receive"] = "emit"
    "Whose clock orders events and measures durations."
    drop: str = "duplicates"
    "Rules whose finds are left out: duplicates, late, future, negative-times; or none."
    late_after_s: float = 60.0
    "An event received this many seconds after it was emitted is late."
    correct_clocks: bool = False
    "Shift each source's clock by its estimated offset."
    phase: tuple[str, ...] = ()
    "Look at these phases instead: NAME=START_EVENT..END_EVENT; may be repeated."
    where: tuple[str, ...] = ()
    "Only runs with this DIMENSION=VALUE; may be repeated."

    def question(self) -> "Question":
        """The options as the analysis takes them."""
        from trivet.insight.runs.cleaning import Rules
        from trivet.insight.runs.phases import parse_phase
        from trivet.monitor.runs.analysis import Question

        drop = frozenset(name for name in self.drop.replace(" ", "").split(",") if name and name != "none")
        where = [pair.partition("=") for pair in self.where]
        if not all(equals for _, equals, _ in where):
            raise InputError("--where wants DIMENSION=VALUE")
        if not 0 <= self.late_after_s <= _LATEST_S:
            raise InputError(f"--late-after-s wants seconds, 0 to {_LATEST_S:,}")
        return Question(
            self.times(),
            self.format,
            self.memory_mib,
            Rules(self.by, drop, self.late_after_s, self.correct_clocks),
            tuple(parse_phase(words) for words in self.phase),
            tuple((name, value) for name, _, value in where),
        )


@dataclass(frozen=True, kw_only=True)
class SourceOptions(InputOptions):
    """Which runs are looked at, besides the files that were named."""

    drive: bool = False
    "Look at the transfers and repairs of the drive in --state, running or stopped."
    state: Path = DEFAULT_STATE
    "The folder that holds that drive's state."

    def analysis(self, files: list[Path] | None) -> "Analysis":
        """Read and clean what was asked for; InputError where there is nothing."""
        from trivet.io.volume_folder import VolumeFolder
        from trivet.monitor.runs.analysis import analyse, analyse_table
        from trivet.monitor.runs.drive_runs import drive_table
        from trivet.monitor.runs.event_files import memory_limit_bytes

        question = self.question()
        if not self.drive:
            return analyse(inputs(files), question)
        if files:
            raise InputError("--drive looks at what the drive in --state did; leave the files out")
        limit_bytes = memory_limit_bytes(question.memory_mib)
        return analyse_table(drive_table(VolumeFolder(self.state.absolute()), limit_bytes), question)


PLAIN_READING = ReadOptions()
PLAIN_INPUT = InputOptions()
PLAIN_SOURCE = SourceOptions()


def inputs(files: list[Path] | None) -> list[Path]:
    """The `files` that were named, or the default store."""
    if not files and not default_store().is_dir():
        raise InputError(f"name files of events; there is no store at {default_store()} yet")
    if files and not files[0].exists() and (verb := nearest(str(files[0]), [*app])):
        raise InputError(f"there is no file or store {files[0]}; did you mean `trivet runs {verb}`?")
    return files or [default_store()]


def default_store() -> Path:
    """Where events are kept when no store is named."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "trivet" / "runs"


@app.default
def show(files: list[Path] | None = None, /, *, page: int = 1, options: SourceOptions = PLAIN_SOURCE) -> None:
    """Show the chart of the newest runs, statistics and what was odd, in the terminal.

    Parameters
    ----------
    files
        Files of events, or the folder of a store (the default store unless told).
    page
        The page of the chart: 20 runs each, newest first.
    """
    from rich.console import Console

    from trivet.insight.runs.statistics import run_statistics
    from trivet.monitor.runs.terminal import print_findings, print_page, print_statistics

    analysis = options.analysis(files)
    console = Console(highlight=False)
    print_page(console, analysis, page)
    print_statistics(console, run_statistics(analysis.events, analysis.phases))
    print_findings(console, analysis.findings)


@app.command
def stats(
    files: list[Path] | None = None,
    /,
    *,
    json: bool = False,
    details: bool = False,
    dimension: str = "",
    options: SourceOptions = PLAIN_SOURCE,
) -> None:
    """Tell count, extremes, mean, standard deviation and percentiles of every phase.

    Parameters
    ----------
    files
        Files of events, or the folder of a store (the default store unless told).
    json
        Print one JSON object.
    details
        With --json: also what was odd, open and repeated phases, outliers and queues.
    dimension
        Also for each value of this dimension.
    """
    from trivet.monitor.runs.statistics_output import print_json, print_text

    analysis = options.analysis(files)
    if json:
        print_json(analysis, dimension=dimension, details=details)
    else:
        print_text(analysis, dimension=dimension)


@app.command
def chart(
    files: list[Path] | None = None,
    /,
    *,
    out: Path | None = None,
    page: int = 1,
    embed_runs: int = 1000,
    options: SourceOptions = PLAIN_SOURCE,
) -> None:
    """Draw the runs as stacked bars: in the terminal, or as an HTML page, SVG or PNG.

    Parameters
    ----------
    files
        Files of events, or the folder of a store (the default store unless told).
    out
        X.html (all tabs), X.svg or X.png; with {page} in its name every page is written as it is made.
    page
        The page to draw: 20 runs each, newest first.
    embed_runs
        How many of the newest runs the HTML page holds.
    """
    from trivet.monitor.runs.chart_output import draw

    named = [] if options.drive else inputs(files)
    draw(options.analysis(files), named, out=out, page=page, embed_runs=embed_runs)


@app.command
def generate(runs: int, /, *, out: Path, seed: int = 1) -> None:
    """Write made-up test runs of ten events each: numbers that the first analysis drew as minutes.

    Parameters
    ----------
    runs
        How many.
    out
        X.h5, X.csv or X.parquet.
    seed
        The same seed gives the same file.
    """
    from trivet.monitor.runs.generated_files import write_generated

    write_generated(runs, seed, out)
