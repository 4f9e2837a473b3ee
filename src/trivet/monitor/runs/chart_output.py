"""The chart of runs, to the terminal or into the file whose suffix says how."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trivet.errors import InputError
from trivet.insight.runs.bars import BarPages
from trivet.insight.runs.chart_spec import TITLE, page_spec
from trivet.monitor.chart_files import write_chart
from trivet.monitor.runs.analysis import Analysis
from trivet.monitor.runs.comparing import newest_against_before
from trivet.monitor.runs.comparison_tab import comparison_tab
from trivet.monitor.runs.report import report_html
from trivet.monitor.runs.terminal import print_findings, print_page

_PAGE = "{page}"


def draw(analysis: Analysis, files: Sequence[Path], *, out: Path | None, page: int, embed_runs: int) -> None:
    """Draw page number `page` (for HTML: a page of `embed_runs` runs) to `out`, or in the terminal."""
    console = Console(highlight=False)
    if out is None:
        print_page(console, analysis, page)
        print_findings(console, analysis.findings)
        return
    print_findings(Console(stderr=True, highlight=False), analysis.findings)
    if out.suffix.lower() in (".html", ".htm"):
        if embed_runs < 1:
            raise InputError("--embed-runs wants at least 1 run")
        if _PAGE in out.name:
            raise InputError(f"{_PAGE} is for .svg and .png: a page of HTML holds all pages of the chart")
        sources = ", ".join(file.name for file in files) or "the store"
        changed = newest_against_before(analysis)
        extra = {"Compare": comparison_tab(*changed)} if changed else {}
        write_text(out, report_html(analysis, sources=sources, embed_runs=embed_runs, extra=extra))
        console.print(str(out), markup=False, soft_wrap=True)
        return
    pages = BarPages(analysis.events, analysis.phases)
    every = _PAGE in out.name
    if not every and not 1 <= page <= len(pages):
        raise InputError(f"there is no page {page}: the runs fill {len(pages):,} pages")
    for number in range(1, len(pages) + 1) if every else [page]:
        target = out.with_name(out.name.replace(_PAGE, str(number)))
        write_chart(page_spec(pages.page(number), analysis.phases), target, title=TITLE)
        console.print(str(target), markup=False, soft_wrap=True)


def write_text(out: Path, words: str) -> None:
    """Write `words` to `out`; raises InputError where that can't be done."""
    try:
        out.write_text(words, encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {out}: {error.strerror}") from None
