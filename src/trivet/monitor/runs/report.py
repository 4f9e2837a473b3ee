"""The HTML report of runs: tabs for the chart, the statistics and what was odd."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.chart_spec import TITLE, duration_text, explorer_spec, moment_text
from trivet.insight.runs.outliers import outliers
from trivet.insight.runs.saturation import QUEUE, saturation
from trivet.insight.runs.statistics import RunStatistics, by_dimension, run_statistics
from trivet.monitor.chart_files import chart_fragment
from trivet.monitor.html_page import Fragment, heading, page, table, text
from trivet.monitor.runs.analysis import Analysis

_COLUMNS = ("count", "min", "max", "mean", "std", "p50", "p95", "p99")
_MOST_DIMENSIONS = 10

#: How many of the newest runs a page holds unless told.
EMBED_RUNS = 1000


def report_html(
    analysis: Analysis,
    *,
    sources: str,
    embed_runs: int,
    extra: Mapping[str, Sequence[Fragment]] = MappingProxyType({}),
) -> str:
    """The whole page about `analysis`; `embed_runs` newest runs can be paged through, `extra` tabs follow."""
    statistics = run_statistics(analysis.events, analysis.phases)
    subtitle = f"{statistics.runs:,} runs, {statistics.events:,} events from {sources}"
    figures = _statistics_tab(analysis, statistics)  # before the chart, whose engine takes 100 MiB for good
    tabs = {"Chart": _chart_tab(analysis, embed_runs), "Statistics": figures}
    return page(TITLE, {**tabs, **extra}, subtitle=subtitle)


def _chart_tab(analysis: Analysis, embed_runs: int) -> list[Fragment]:
    pages = BarPages(analysis.events, analysis.phases)
    bars = pages.newest(embed_runs)
    fragments = [chart_fragment(explorer_spec(bars, analysis.phases), alt=TITLE)]
    if pages.run_count > len(bars):
        words = f"The newest {len(bars):,} of {pages.run_count:,} runs; --embed-runs puts in more."
        fragments.append(text(words, note=True))
    longest = max(bars, key=lambda bar: bar.total_s)
    total = sum(bar.total_s for bar in bars)
    words = (
        f"{len(bars):,} runs took {duration_text(total)} in all, {duration_text(total / len(bars))} a run; "
        f"the longest is {longest.run} with {duration_text(longest.total_s)}."
    )
    queued = sum(bar.seconds.get(QUEUE.name, 0.0) for bar in bars)
    if queued:
        share = queued / (total or 1.0)
        words += f" {duration_text(queued)} of it ({share:.0%}) was waiting in the queue, the rest work."
    fragments.append(text(words))
    rows = [[name, *cells] for name, cells in _totals(bars, [phase.name for phase in analysis.phases])]
    fragments.append(
        table(["phase", "total", "a run", "share"], rows, caption="Where the time of these runs went")
    )
    return fragments


def _totals(bars: Sequence[Any], names: Iterable[str]) -> list[tuple[str, list[str]]]:
    spent: dict[str, float] = dict.fromkeys(names, 0.0)
    for bar in bars:
        for name, seconds in bar.seconds.items():
            spent[name] = spent.get(name, 0.0) + seconds
    whole = sum(spent.values()) or 1.0
    return [
        (name, [duration_text(s), duration_text(s / len(bars)), f"{s / whole:.1%}"])
        for name, s in spent.items()
    ]


def _statistics_tab(analysis: Analysis, statistics: RunStatistics) -> list[Fragment]:
    rows = [
        [
            entry.phase.name,
            *(rounded(entry.summary[c]) for c in _COLUMNS),
            entry.repeated,
            entry.opened,
            entry.negative,
        ]
        for entry in statistics.phases
    ]
    fragments = [
        heading("Phases"),
        table(["phase", *_COLUMNS, "repeated", "open", "negative"], rows, caption="Durations in seconds"),
        heading("Events"),
        table(["event", "count"], list(statistics.event_counts.items())),
    ]
    for dimension in list(analysis.events.table.dimensions)[:_MOST_DIMENSIONS]:
        groups = by_dimension(analysis.events, analysis.phases, dimension)
        rows = [
            [value, phase, *(rounded(summary[c]) for c in _COLUMNS)]
            for value, summaries in groups.items()
            for phase, summary in summaries.items()
            if summary["count"]
        ]
        fragments += [heading(f"By {dimension}"), table([dimension, "phase", *_COLUMNS], rows)]
    fragments += _outliers_and_queues(analysis)
    fragments.append(heading("What was odd in the input"))
    odd = [
        [finding.rule, finding.words, "left out" if finding.dropped else "kept"]
        for finding in analysis.findings
    ]
    fragments.append(table(["rule", "found", "what was done"], odd) if odd else text("Nothing."))
    return fragments


def rounded(value: float | None) -> float | None:
    """A figure of a table for people: four digits that tell, and whole numbers from a thousand on."""
    if not isinstance(value, float):
        return value
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def _outliers_and_queues(analysis: Analysis) -> list[Fragment]:
    found = [
        [outlier.run, outlier.phase, duration_text(outlier.seconds), duration_text(outlier.usual_s)]
        for outlier in outliers(analysis.events, analysis.phases)
    ]
    queues = [
        [
            queue.queue,
            queue.runs,
            queue.most_waiting,
            queue.most_working,
            f"{queue.waiting_share:.0%}",
            f"{queue.saturated_share:.0%}",
            f"{duration_text(queue.longest_s)} from {moment_text(queue.longest_begin_ns)}",
        ]
        for queue in saturation(analysis.events)
    ]
    columns = [
        "queue",
        "runs",
        "most waiting",
        "most worked on",
        "somebody waits",
        "saturated",
        "longest wait",
    ]
    return [
        heading("Outliers"),
        table(["run", "phase", "took", "usually"], found) if found else text("None."),
        heading("Queues"),
        table(columns, queues) if queues else text("No run tells of a queue."),
    ]
