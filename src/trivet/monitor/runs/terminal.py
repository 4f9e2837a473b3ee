"""Runs in the terminal: bars of blocks, and tables of statistics.

Rule: text from the input is shown as text; control characters in it never reach the terminal.
"""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trivet.errors import InputError
from trivet.insight.runs.bars import Bar, BarPages
from trivet.insight.runs.chart_spec import (
    COLOURS,
    MORE_COLOURS,
    OTHER_COLOUR,
    TITLE,
    duration_text,
    folded,
    shown_phases,
)
from trivet.insight.runs.cleaning import Finding
from trivet.insight.runs.outliers import Outlier
from trivet.insight.runs.phases import OTHER, Phase
from trivet.insight.runs.saturation import Saturation
from trivet.insight.runs.statistics import RunStatistics
from trivet.monitor.runs.analysis import Analysis
from trivet.monitor.terminal_text import printable

Groups = dict[str, dict[str, dict[str, float | int | None]]]

#: A letter a phase tells the blocks apart where there are no colours.
_LETTERS = "iqfbtpabcdefghjklmnorsuvwxyz"
_MOST_NAME = 30
_MOST_ROWS = 25
_MOST_NAMED = 6
_SHOWN = ("count", "min", "mean", "std", "p50", "p95", "p99", "max")


def print_page(console: Console, analysis: Analysis, number: int) -> None:
    """Draw page `number` of the runs of `analysis`."""
    pages = BarPages(analysis.events, analysis.phases)
    if not 1 <= number <= len(pages):
        raise InputError(f"there is no page {number}: the runs fill {len(pages):,} pages")
    print_bars(console, pages.page(number), analysis.phases, pages, number)


def print_bars(
    console: Console, bars: Sequence[Bar], phases: Sequence[Phase], pages: BarPages, number: int
) -> None:
    """Draw one page of `bars` as blocks, one line a run, with a legend."""
    shown = shown_phases(bars, phases)
    styles = _styles(shown)
    console.print(
        f"[bold]{TITLE}[/bold]  page {number} of {len(pages)}, {pages.run_count:,} runs, newest first"
    )
    width = max((min(len(printable(bar.run)), _MOST_NAME) for bar in bars), default=1)
    room = max(console.width - width - 20, 10)
    longest = max((bar.total_s for bar in bars), default=0.0) or 1.0
    for bar in bars:
        line = Text(f"{printable(bar.run)[:_MOST_NAME]:>{width}} ")
        drawn, so_far = 0, 0.0
        for name, seconds in folded(bar, shown).items():
            so_far += seconds
            cells = round(so_far / longest * room) - drawn
            drawn += cells
            colour, letter = styles.get(name, (OTHER_COLOUR, "."))
            line.append(letter * cells, style=f"black on {colour}")
        line.append(f" {duration_text(bar.total_s)}{' open' if bar.open_phases else ''}")
        console.print(line, no_wrap=True, crop=True)
    legend = Text()
    for name, (colour, letter) in styles.items():
        legend.append(f" {letter} ", style=f"black on {colour}").append(f" {printable(name)} ")
    console.print(legend)


def print_statistics(console: Console, statistics: RunStatistics) -> None:
    """Print the statistics of the phases with most time as a table in seconds, and what is odd in them."""
    table = _table(f"{statistics.runs:,} runs, {statistics.events:,} events; seconds", ["phase"], _SHOWN)
    entries = statistics.phases
    if len(entries) > _MOST_ROWS:
        entries = tuple(sorted(entries, key=lambda e: -(e.summary["count"] or 0) * (e.summary["mean"] or 0)))
    for entry in entries[:_MOST_ROWS]:
        table.add_row(Text(printable(entry.phase.name)), *(_cell(entry.summary[column]) for column in _SHOWN))
    console.print(table)
    if len(entries) > _MOST_ROWS:
        console.print(f"and {len(entries) - _MOST_ROWS:,} phases with less time; --json tells all")
    counts = {
        "open (no end)": {e.phase.name: e.opened for e in statistics.phases},
        "repeated": {e.phase.name: e.repeated for e in statistics.phases},
        "negative": {e.phase.name: e.negative for e in statistics.phases},
        "ends without a start": {e.phase.name: e.orphans for e in statistics.phases},
    }
    for words, found in counts.items():
        most = sorted(((count, name) for name, count in found.items() if count), reverse=True)
        if most:
            told = ", ".join(f"{printable(name)} {count:,}" for count, name in most[:_MOST_NAMED])
            console.print(Text(f"{words}: {told}{' ...' if len(most) > _MOST_NAMED else ''}", style="yellow"))


def print_groups(console: Console, dimension: str, groups: Groups) -> None:
    """Print mean and 95th percentile of each phase for each value of `dimension`."""
    shown = ("count", "mean", "p50", "p95", "max")
    table = _table(f"by {printable(dimension)}; seconds", [printable(dimension), "phase"], shown)
    for value, phases in groups.items():
        for name, summary in phases.items():
            cells = [_cell(summary[column]) for column in shown]
            table.add_row(Text(printable(value)), Text(printable(name)), *cells)
    console.print(table)


def print_outliers(console: Console, found: Sequence[Outlier]) -> None:
    """Print the runs that took far longer or shorter than usual."""
    for outlier in found:
        words = f"{duration_text(outlier.seconds)}, usually {duration_text(outlier.usual_s)}"
        console.print(Text(f"outlier: run {printable(outlier.run)}, {printable(outlier.phase)}: {words}"))


def print_saturation(console: Console, queues: Sequence[Saturation]) -> None:
    """Print how full each queue was."""
    for queue in queues:
        words = (
            f"queue {printable(queue.queue)}: up to {queue.most_waiting:,} waiting, "
            f"{queue.most_working:,} worked on; somebody waits {queue.waiting_share:.0%} of the time, "
            f"saturated {queue.saturated_share:.0%}"
        )
        console.print(Text(words))


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    """Say what was odd in the input, a line each."""
    for finding in findings:
        fate = " (left out)" if finding.dropped else ""
        console.print(Text(f"{finding.rule}: {printable(finding.words)}{fate}", style="yellow"))


def _styles(shown: Sequence[str]) -> dict[str, tuple[str, str]]:
    palette = (*COLOURS, *MORE_COLOURS)
    letters = iter(dict.fromkeys([*(name[0].lower() for name in shown if name[:1].isalpha()), *_LETTERS]))
    taken: dict[str, tuple[str, str]] = {}
    used: set[str] = set()
    for colour, name in zip(palette, shown, strict=False):
        first = name[:1].lower()
        letter = first if first.isalpha() and first not in used else next(c for c in letters if c not in used)
        used.add(letter)
        taken[name] = (colour, letter)
    return {**taken, OTHER: (OTHER_COLOUR, ".")}


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 1:
        return f"{value:.3g}"
    return f"{value:,.{0 if abs(value) >= 1_000 else 2 if abs(value) < 100 else 1}f}"


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for column in (*names, *numbers):
        table.add_column(
            column,
            justify="left" if column in names else "right",
            overflow="fold",
            min_width=14 if column in names else 0,
            no_wrap=column in numbers,
        )
    return table
