"""The chart "Testrun Time and Motion Analysis": bars of runs as a Vega-Lite spec.

Rule: 600 x 400, 'Time / min', six colours and a legend in the order of the phases, as the first analysis
of test runs drew it; time in no phase is grey. Phases beyond MOST_PHASES are summed up as REST, and told.
Rule: data is inside the spec: at most the bars that are handed in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from trivet.insight.runs.bars import RUNS_PER_PAGE, Bar
from trivet.insight.runs.phases import OTHER, Phase

TITLE = "Testrun Time and Motion Analysis"
WIDTH, HEIGHT = 600, 400
COLOURS = ("#a5cee3", "#1f78b3", "#b2de89", "#fcbf6f", "#fb9a99", "#693d9a")
MORE_COLOURS = ("#33a02c", "#ff7f00", "#e31a1c", "#ffff99", "#b15928")
OTHER_COLOUR = "#c8c8c8"
MOST_PHASES = len(COLOURS) + len(MORE_COLOURS)
REST = "*rest*"

#: A dimension with more values than this gets no filter: nobody reads such a list.
_MOST_VALUES = 100


def shown_phases(bars: Sequence[Bar], phases: Sequence[Phase]) -> tuple[str, ...]:
    """The phases that get a colour: all, or the MOST_PHASES with most time in `bars`, in their order."""
    if len(phases) <= MOST_PHASES:
        return tuple(phase.name for phase in phases)
    spent = {phase.name: sum(bar.seconds.get(phase.name, 0.0) for bar in bars) for phase in phases}
    longest = set(sorted(spent, key=lambda name: -spent[name])[:MOST_PHASES])
    return tuple(phase.name for phase in phases if phase.name in longest)


def folded(bar: Bar, shown: Sequence[str]) -> dict[str, float]:
    """Seconds per segment of `bar`, in legend order: the `shown` phases, REST, OTHER; none that is empty."""
    rest = sum(s for name, s in bar.seconds.items() if name not in shown and name != OTHER)
    segments = {name: bar.seconds.get(name, 0.0) for name in shown}
    return {k: s for k, s in {**segments, REST: rest, OTHER: bar.seconds.get(OTHER, 0.0)}.items() if s}


def page_spec(bars: Sequence[Bar], phases: Sequence[Phase], *, title: str = TITLE) -> dict[str, Any]:
    """One page of `bars` as a still chart."""
    spec = _spec(bars, phases, title)
    return {**spec, "transform": [_LABELLED]}


def explorer_spec(bars: Sequence[Bar], phases: Sequence[Phase], *, title: str = TITLE) -> dict[str, Any]:
    """All `bars` (newest first) with a pager and a filter for each dimension of few values.

    A page beyond the last that a filter leaves shows that last one.
    """
    spec = _spec(bars, phases, title)
    values: dict[str, dict[str, None]] = {}
    for bar in bars:
        for name, tags in bar.dimensions.items():
            values.setdefault(name, {}).update(dict.fromkeys(tags))
    choices = {name: sorted(seen) for name, seen in values.items() if 1 < len(seen) <= _MOST_VALUES}
    pages = -(-len(bars) // RUNS_PER_PAGE)
    parameters: list[dict[str, Any]] = [
        {
            "name": "page",
            "value": 1,
            "bind": {
                "input": "range",
                "min": 1,
                "max": max(pages, 1),
                "step": 1,
                "name": f"page (of {pages}) ",
            },
        }
    ]
    filters: list[dict[str, Any]] = []
    for number, (name, options) in enumerate(choices.items()):
        bind = {
            "input": "select",
            "options": [None, *options],
            "labels": ["all", *options],
            "name": f"{name} ",
        }
        parameters.append({"name": f"d{number}", "value": None, "bind": bind})
        test = f"d{number} === null || indexof(datum.tags['{_quoted(name)}'] || [], d{number}) >= 0"
        filters.append({"filter": test})
    shown_page = f"min(page, ceil(datum.places / {RUNS_PER_PAGE}))"
    on_page = f"ceil(datum.place / {RUNS_PER_PAGE}) === {shown_page}"
    count = {"joinaggregate": [{"op": "max", "field": "place", "as": "places"}]}
    rank = {"window": [{"op": "dense_rank", "as": "place"}], "sort": [{"field": "order"}]}
    return {
        **spec,
        "params": parameters,
        "transform": [*filters, rank, count, {"filter": on_page}, _LABELLED],
    }


#: The tooltip's minutes, and a bar's whole, as text with seconds.
_LABELLED = {"calculate": "datum.share + ' of ' + datum.whole", "as": "told"}


def _spec(bars: Sequence[Bar], phases: Sequence[Phase], title: str) -> dict[str, Any]:
    shown = shown_phases(bars, phases)
    rows = [row for order, bar in enumerate(bars) for row in _rows(order, bar, shown)]
    present = {row["phase"] for row in rows}
    palette = (*COLOURS, *MORE_COLOURS)
    colours = {name: palette[i] for i, name in enumerate(shown)}
    colours |= {
        name: OTHER_COLOUR if name == OTHER else "#8c8c8c" for name in (REST, OTHER) if name in present
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.4.1.json",
        "title": title,
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": rows},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "config": {"axis": {"gridColor": "#808080", "gridOpacity": 0.3}},
        "encoding": {
            "y": {
                "field": "run",
                "type": "nominal",
                "sort": {"field": "order", "op": "min"},
                "title": "run",
                "axis": {"labelLimit": 160},
            },
            "x": {"field": "minutes", "type": "quantitative", "stack": "zero", "title": "Time / min"},
            "color": {
                "field": "phase",
                "type": "nominal",
                "title": "phase",
                "sort": list(colours),
                "scale": {"domain": list(colours), "range": list(colours.values())},
            },
            "order": {"field": "place_in_bar", "type": "quantitative"},
            "tooltip": [
                {"field": "run", "title": "run"},
                {"field": "phase", "title": "phase"},
                {"field": "told", "title": "time"},
                {"field": "began", "title": "began (UTC)"},
                {"field": "odd", "title": "note"},
                {"field": "labels", "title": "dimensions"},
            ],
        },
    }


def _rows(order: int, bar: Bar, shown: Sequence[str]) -> list[dict[str, Any]]:
    """One row per segment of a bar; a run without any time is one empty row, so that it is seen."""
    odd = _odd(bar)
    labels = ", ".join(f"{name} {'/'.join(tags)}" for name, tags in bar.dimensions.items())
    segments = folded(bar, shown) or {OTHER: 0.0}
    return [
        {
            "run": bar.run,
            "order": order,
            "phase": name,
            "place_in_bar": place,
            "minutes": seconds / 60,
            "share": duration_text(seconds),
            "whole": duration_text(bar.total_s),
            "began": moment_text(bar.begin_ns),
            "odd": odd,
            "labels": labels,
            "tags": {name: list(tags) for name, tags in bar.dimensions.items()},
        }
        for place, (name, seconds) in enumerate(segments.items())
    ]


def _odd(bar: Bar) -> str:
    notes: Mapping[str, tuple[str, ...]] = {
        "open": bar.open_phases,
        "repeated": bar.repeated_phases,
        "negative": bar.negative_phases,
    }
    return "; ".join(f"{words}: {', '.join(names)}" for words, names in notes.items() if names)


def duration_text(seconds: float) -> str:
    """A duration for people: 0.120 s, 12.3 s, 5:07 min, 2:05:07 h."""
    if abs(seconds) < 60:
        return f"{seconds:.3g} s"
    sign, whole = "-" if seconds < 0 else "", round(abs(seconds))
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{sign}{minutes}:{rest:02d} min"
    return f"{sign}{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def moment_text(time_ns: int) -> str:
    """A moment in UTC; one that no calendar clock told (before 2001) as seconds since the clock's zero."""
    import datetime

    seconds = time_ns / 1e9
    if seconds < 1e9:
        return f"{seconds:g} s"
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M:%S}"


def _quoted(name: str) -> str:
    """`name` inside a Vega expression's single quotes."""
    return name.replace("\\", "\\\\").replace("'", "\\'")
