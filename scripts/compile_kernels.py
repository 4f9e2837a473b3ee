"""Compiles what reads access logs once, so that the first large log need not wait for it.

Rule: each kernel is called with the kinds of arguments it gets in use; numba keeps the code in its cache.
"""

from trivet.insight.arrival_kernel import ArrivalScan, joined
from trivet.insight.logs.rehearsal import made_lines, rehearse


def floods() -> None:
    """Compile the kernel of `trivet floods`."""
    lines = made_lines()
    scan = ArrivalScan(len(lines))
    scan.feed(0, lines, 0)
    joined([scan], 1)


if __name__ == "__main__":
    rehearse()
    floods()
