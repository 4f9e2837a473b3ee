"""Draws what bench/growth.py printed: how cost and memory change from 1,000 to a million files, and clients.

Usage: python bench/growth_chart.py LINES... OUT.svg; LINES are files that hold what growth.py printed, of
several runs or of --clients; the newest line for a number of files counts, the median of those of clients.
"""

import statistics
import sys
from pathlib import Path

import altair

from trivet.monitor.chart_files import chart_svg

FIGURES = {"create": 1, "stat, cold": 3, "read, cold": 5}
RATE, MEMORY = "operations a second", "keeper, MiB"
WIDTH, HEIGHT = 230, 200


def rows_of(lines: list[str]) -> tuple[list[dict[str, object]], dict[int, list[float]]]:
    """Return the figures for each number of files, and the rates for each number of clients."""
    files: dict[int, list[float]] = {}
    clients: dict[int, list[float]] = {}
    for line in lines:
        words = line.replace(",", "").split()
        if not words or not words[0].isdigit():
            continue
        numbers = [float(word) for word in words]
        if len(numbers) == 3:
            clients.setdefault(int(numbers[0]), []).append(numbers[1])
        else:
            files[int(numbers[0])] = numbers
    rows: list[dict[str, object]] = []
    for count, numbers in sorted(files.items()):
        rows += [{"files": count, "what": what, "value": numbers[at]} for what, at in FIGURES.items()]
        rows.append({"files": count, "what": MEMORY, "value": numbers[7]})
    return rows, clients


def drawn(rows: list[dict[str, object]], clients: dict[int, list[float]]) -> altair.TopLevelMixin:
    """Return the three charts side by side."""
    axis = altair.X("files:Q", scale=altair.Scale(type="log"), axis=altair.Axis(format="~s"), title="files")
    line = {"width": WIDTH, "height": HEIGHT}
    speed = (
        altair.Chart({"values": [row for row in rows if row["what"] != MEMORY]}, **line)
        .mark_line(point=True)
        .encode(
            axis,
            altair.Y("value:Q", scale=altair.Scale(type="log"), title=RATE),
            altair.Color("what:N", title=None),
            altair.StrokeDash("what:N", title=None),
        )
    )
    memory = (
        altair.Chart({"values": [row for row in rows if row["what"] == MEMORY]}, **line)
        .mark_line(point=True, color="black")
        .encode(axis, altair.Y("value:Q", title=MEMORY))
    )
    of_clients = [{"clients": count, "rate": statistics.median(rates)} for count, rates in clients.items()]
    several = (
        altair.Chart({"values": of_clients}, **line)
        .mark_bar(color="gray")
        .encode(
            altair.X("clients:O", title="clients at once"),
            altair.Y("rate:Q", title="files made and read a second"),
        )
    )
    return speed | memory | several if of_clients else speed | memory


def main() -> int:
    """Draw."""
    *sources, out = map(Path, sys.argv[1:])
    lines = [line for source in sources for line in source.read_text().splitlines()]
    out.write_text(chart_svg(drawn(*rows_of(lines))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
