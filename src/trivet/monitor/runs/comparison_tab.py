"""A comparison of two sets of runs as the tab of a page."""

from trivet.insight.runs.comparison import Comparison
from trivet.monitor.html_page import Fragment, heading, table, text
from trivet.monitor.runs.report import rounded


def comparison_tab(comparison: Comparison, words: str = "B against A") -> list[Fragment]:
    """The content of the tab; `words` say what was compared with what."""
    columns = [
        "phase",
        "dimension",
        "value",
        "extra s a run",
        "runs A",
        "runs B",
        "mean A",
        "mean B",
        "noise?",
    ]
    found: list[Fragment] = [
        text(f"A: {comparison.runs_a:,} runs, B: {comparison.runs_b:,} runs; {words}, seconds a run.")
    ]
    for title, changes in (("Phases", comparison.overall), ("What explains it", comparison.ranked)):
        rows = [
            [
                change.phase,
                change.dimension,
                change.value,
                rounded(change.extra_s),
                change.runs_a,
                change.runs_b,
                rounded(change.mean_a_s),
                rounded(change.mean_b_s),
                f"more than noise (p = {change.p:.1g})" if change.more_than_noise else "may be noise",
            ]
            for change in changes
        ]
        found += [heading(title), table(columns, rows)]
    return found
