"""Compiles what reads access logs once, so that the first large log need not wait for it.

Rule: each kernel is called with the kinds of arguments it gets in use; numba keeps the code in its cache.
"""

from trivet.insight.arrival_kernel import ArrivalScan, joined
from trivet.insight.logs.engine_kernel import KernelEngine

_LINES = b"".join(
    b'10.0.0.%d - - [03/Jun/2024:10:00:00 +0000] "GET /a/%d HTTP/1.1" 200 100 "-" "x"\n' % (k % 250, k)
    for k in range(60_000)
)


def logs() -> None:
    """Compile the kernels of `trivet logs`: counting, growing, shrinking, merging."""
    # in so little memory that the lighter half of the tables is dropped now and then
    one, other = KernelEngine(1 << 20), KernelEngine(1 << 20)
    for engine in (one, other):
        engine.feed(_LINES, 0)
    one.merge(other)
    one.summary()


def floods() -> None:
    """Compile the kernel of `trivet floods`."""
    scan = ArrivalScan(len(_LINES))
    scan.feed(0, _LINES, 0)
    joined([scan], 1)


if __name__ == "__main__":
    logs()
    floods()
