"""Statistics of runs as JSON for programs and as tables for people.

Rule: without `details` the JSON object has exactly the keys that other programs rely on.
"""

import sys
from dataclasses import asdict
from typing import Any

import msgspec
from rich.console import Console

from trivet.errors import InputError
from trivet.insight.runs.outliers import outliers
from trivet.insight.runs.saturation import saturation
from trivet.insight.runs.statistics import by_dimension, run_statistics
from trivet.monitor.runs.analysis import Analysis
from trivet.monitor.runs.terminal import (
    print_findings,
    print_groups,
    print_outliers,
    print_saturation,
    print_statistics,
)


def print_json(analysis: Analysis, *, dimension: str, details: bool) -> None:
    """Print one JSON object; what was odd goes to standard error unless `details` puts it into the object."""
    statistics = run_statistics(analysis.events, analysis.phases)
    result: dict[str, Any] = statistics.shape()
    if dimension:
        result["by"] = {dimension: _groups(analysis, dimension)}
    if details:
        result["findings"] = [asdict(finding) for finding in analysis.findings]
        result["clock_offsets"] = [asdict(offset) for offset in analysis.events.offsets]
        result["odd"] = {
            entry.phase.name: {
                "open": entry.opened,
                "repeated": entry.repeated,
                "orphans": entry.orphans,
                "negative": entry.negative,
            }
            for entry in statistics.phases
        }
        result["outliers"] = [asdict(outlier) for outlier in outliers(analysis.events, analysis.phases)]
        result["saturation"] = [asdict(queue) for queue in saturation(analysis.events)]
    else:
        print_findings(Console(stderr=True, highlight=False), analysis.findings)
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    sys.stdout.flush()


def print_text(analysis: Analysis, *, dimension: str) -> None:
    """Print tables, what was odd, outliers and queues."""
    console = Console(highlight=False)
    groups = _groups(analysis, dimension) if dimension else {}
    print_statistics(console, run_statistics(analysis.events, analysis.phases))
    if groups:
        print_groups(console, dimension, groups)
    print_outliers(console, outliers(analysis.events, analysis.phases))
    print_saturation(console, saturation(analysis.events))
    print_findings(console, analysis.findings)


def _groups(analysis: Analysis, dimension: str) -> dict[str, dict[str, dict[str, float | int | None]]]:
    known = analysis.events.table.dimensions
    if dimension not in known:
        raise InputError(f"no dimension '{dimension}': the table has {', '.join(sorted(known)) or 'none'}")
    return by_dimension(analysis.events, analysis.phases, dimension)
