"""Each engine goes on where the other one stopped, as if it had counted from the start."""

from typing import Any

import pytest

from trivet.insight.logs.engine_kernel import DIALECTS, KernelEngine
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.wire.access_formats import named_format

LINES = (
    b"".join(
        b'10.0.0.%d - - [05/Jun/2024:13:07:%02d +0200] "GET /%s/%d HTTP/1.1" %d %d "ref%d" "agent %d" 0.%d\n'
        % (
            k % 7,
            k % 60,
            b"ab"[k % 2 : k % 2 + 1],
            k % 50,
            (200, 404, 500)[k % 3],
            k,
            k % 4,
            k % 5,
            k % 9 + 1,
        )
        for k in range(2000)
    )
    + b'junk\n10.0.0.1 - - [05/Jun/2024:13:07:09 +0200] "-" 400 17 "-" "-"\n'
)


def test_what_the_kernel_counted_is_taken_over() -> None:
    log_format = named_format("combined+duration", LINES)
    kernel, resumed, plain = KernelEngine(1 << 30), RegexEngine(1 << 30), RegexEngine(1 << 30)
    kernel.feed(LINES, DIALECTS["combined+duration"])
    counted = kernel.counted()
    assert counted is not None
    resumed.take_over(counted)
    resumed.feed(LINES, log_format)
    plain.feed(LINES, log_format)
    plain.feed(LINES, log_format)
    assert resumed.summary() == plain.summary()
    assert resumed.drill("section", b"/a") == plain.drill("section", b"/a")


def test_what_the_regular_expressions_counted_is_taken_over() -> None:
    log_format, dialect = named_format("combined+duration", LINES), DIALECTS["combined+duration"]
    plain, resumed, whole = RegexEngine(1 << 30), KernelEngine(1 << 30), KernelEngine(1 << 30)
    plain.feed(LINES, log_format)
    counted = plain.counted()
    assert counted is not None
    resumed.take_over(counted)
    assert resumed.summary() == plain.summary()
    resumed.feed(LINES, dialect)
    whole.feed(LINES + LINES, dialect)
    assert resumed.summary() == whole.summary()
    assert resumed.drill("section", b"/a") == whole.drill("section", b"/a")


@pytest.mark.parametrize(
    "engine", [KernelEngine(1 << 20), RegexEngine(1 << 20)], ids=lambda engine: engine.name
)
def test_nothing_is_taken_over_where_names_were_dropped(engine: Any) -> None:
    line = b'10.0.0.1 - - [05/Jun/2024:13:07:09 +0200] "GET /%d HTTP/1.1" 200 17\n'
    lines = b"".join(line % k for k in range(60_000))
    engine.feed(lines, 0 if engine.name == "kernel" else named_format("common", lines))
    assert engine.counted() is None
