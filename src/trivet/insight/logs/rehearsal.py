"""The kernel of `trivet logs`, called once in every way it is used: compiles it, or loads what was compiled.

Rule: the arguments are of the kinds they have in use, since each other kind would be compiled anew.
"""

from trivet.insight.logs.engine_kernel import KernelEngine
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.wire.access_formats import named_format

#: more names than the first tables have room for, and than are kept in as little memory as is given here
_LINES = 40_000
_MEMORY_BYTES = 1 << 20


def made_lines(count: int = _LINES) -> bytes:
    """Return `count` lines of as many URLs."""
    return b"".join(
        b'10.0.0.%d - - [03/Jun/2024:10:00:00 +0000] "GET /a/%d HTTP/1.1" 200 100 "-" "x"\n' % (k % 250, k)
        for k in range(count)
    )


def rehearse() -> None:
    """Count, grow, shrink, merge, take over and report."""
    lines = made_lines()
    one, other = KernelEngine(_MEMORY_BYTES), KernelEngine(_MEMORY_BYTES)
    for engine in (one, other):
        engine.feed(lines, 0)
    one.merge(other)
    one.summary()
    few = lines[: lines.index(b"\n") + 1]
    plain = RegexEngine(_MEMORY_BYTES)
    plain.feed(few, named_format("combined", few))
    counted = plain.counted()
    assert counted is not None
    resumed = KernelEngine(_MEMORY_BYTES)
    resumed.take_over(counted)
