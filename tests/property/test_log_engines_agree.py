"""The kernel and the regular expressions say the same of any bytes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.insight.logs.engine_kernel import DIALECTS, KernelEngine
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.insight.logs.series import SecondSeries
from trivet.wire.access_formats import named_format

PIECES = [
    b"10.0.0.1", b"::1", b" ", b" - ", b"- - ", b"-", b'"', b'"', b"\\", b'\\"', b"\n", b"\r\n", b"\r",
    b"[", b"]",
    b"[03/Jun/2024:10:00:00 +0000]", b"[31/Feb/2024:25:61:61 -9959]", b"[00/Jun/2024:10:00:00 +0000]",
    b"[03/Jan/0000:00:00:00 +0130] ", b"GET ", b"/a/b?c", b"/", b"?", b"http://h/p?q", b"http://h", b"a:",
    b"//",
    b" HTTP/1.1", b"HTTP/", b"200", b" 200 ", b" 404 17", b" 99 ", b" 12x", b"9" * 30, b"0" * 30,
    b"\x00", b"\xff",
    b"\xc3\xa9", b"\t", b"\x0b", b' "-" "curl/8"', b' "-"', b' "x y" "a" "b"', b" 0.25",
    b" rt=1.5", b" 1.", b" =1",
    b" 123456789012", b" 1234567890123", b" 0.1234567890", b" john smith ", b"example.org:80 ",
]  # fmt: skip
GOOD = b'10.0.0.1 - - [03/Jun/2024:10:00:00 +0000] "GET /a/b?c HTTP/1.1" 200 17 "-" "curl/8"'
VALID = [
    GOOD, b"example.org:80 " + GOOD, GOOD + b" 0.250", GOOD + b" 250 x", b'"' + GOOD + b'" ', GOOD + b"\r",
    GOOD.replace(b"GET /a/b?c HTTP/1.1", rb"\x16\"\\"), GOOD.replace(b"/a/b?c", b"https://h:8/x y/z"),
    GOOD.replace(b" - - ", b" - John Smith "), GOOD[: GOOD.index(b' "-"')],
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid line with a piece put in, taken out or over a part of it."""
    line = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(line)))
        stop = draw(st.integers(start, min(len(line), start + 6)))
        line = line[:start] + draw(st.sampled_from([*PIECES, b""])) + line[stop:]
    return line


LINES = st.one_of(
    mutated(), st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join), st.binary(max_size=40)
)


def said(engine: Any, blocks: list[bytes], how: Any) -> tuple[Any, ...]:
    """Return all that an `engine` says of `blocks`."""
    series, bad, timings = SecondSeries(), [], []
    for block in blocks:
        fed = engine.feed(block, how)
        series.add(fed.rows)
        bad.append(fed.bad_lines.tolist())
        timings += fed.timings.tolist()
    summary = engine.summary()
    figures = {name: getattr(summary, name) for name in summary.__slots__}
    return figures, series.rows().tolist(), bad, timings


@pytest.mark.parametrize("name", sorted(DIALECTS))
@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=12), newline=st.booleans())
def test_engines_agree(name: str, lines: list[bytes], newline: bool) -> None:
    block = b"\n".join(lines) + (b"\n" if newline else b"")
    kernel = said(KernelEngine(1 << 30), [block], DIALECTS[name])
    assert kernel == said(RegexEngine(1 << 30), [block], named_format(name))


@settings(max_examples=30, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=300), cut=st.integers(1, 50))
def test_chunks_and_merged_engines_say_the_same(lines: list[bytes], cut: int) -> None:
    lines = [line for joined in lines for line in joined.split(b"\n")]
    blocks = [b"".join(line + b"\n" for line in lines[k : k + cut]) for k in range(0, len(lines), cut)]
    whole, first, second = (KernelEngine(1 << 30) for _ in range(3))
    whole.feed(b"".join(blocks), 0)
    for k, block in enumerate(blocks):
        (first, second)[k % 2].feed(block, 0)
    first.merge(second)
    assert first.summary() == whole.summary()
