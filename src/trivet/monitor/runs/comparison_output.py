"""A comparison of two sets of runs, told as text, as JSON or as a page."""

import sys
from dataclasses import asdict
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from trivet.errors import InputError
from trivet.insight.runs.chart_spec import duration_text
from trivet.insight.runs.comparison import ALL, Change, Comparison
from trivet.monitor.runs.analysis import Analysis
from trivet.monitor.runs.chart_output import write_text
from trivet.monitor.runs.comparison_tab import comparison_tab
from trivet.monitor.runs.report import EMBED_RUNS, report_html
from trivet.monitor.terminal_text import printable


def print_comparison(comparison: Comparison) -> None:
    """Tell a comparison to people."""
    console = Console(highlight=False)
    console.print(f"A: {comparison.runs_a:,} runs, B: {comparison.runs_b:,} runs; B against A, a run")
    for change in comparison.overall:
        console.print(Text(_sentence(change)), soft_wrap=True)
    if comparison.ranked:
        console.print("What explains it, the largest first:")
    for change in comparison.ranked:
        style = "" if change.more_than_noise else "dim"
        console.print(Text(f"  {_sentence(change)}", style=style), soft_wrap=True)


def print_comparison_json(comparison: Comparison) -> None:
    """Tell a comparison to programs."""
    encoded = msgspec.json.format(msgspec.json.encode(asdict(comparison)), indent=1)
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.flush()


def write_comparison(comparison: Comparison, later: Analysis, out: Path, *, title: str) -> None:
    """Write the report about the `later` runs with the comparison as a tab of its own."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"'{out.name}' should end in .html: a comparison is written as a page")
    extra = {"Compare": comparison_tab(comparison)}
    write_text(out, report_html(later, sources=title, embed_runs=EMBED_RUNS, extra=extra))
    Console(highlight=False).print(str(out), markup=False, soft_wrap=True)


def _sentence(change: Change) -> str:
    where = "" if change.dimension == ALL else f" {change.dimension} {change.value}"
    means = ["-" if mean is None else duration_text(mean) for mean in (change.mean_a_s, change.mean_b_s)]
    certain = f"more than noise, p = {change.p:.1g}" if change.more_than_noise else "may be noise"
    sign = "+" if change.extra_s >= 0 else "-"
    return printable(
        f"{sign}{duration_text(abs(change.extra_s))} {change.phase}{where}: {means[0]} -> {means[1]} "
        f"({change.runs_a:,} -> {change.runs_b:,} runs; {certain})"
    )
