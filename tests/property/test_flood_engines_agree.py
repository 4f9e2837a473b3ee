"""Both ways to read a log hand over the same requests, whatever the bytes are."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivet.insight.arrival_builder import COLUMNS, ArrivalBuilder
from trivet.monitor.flood_reading import Reading, read_files

REQUESTS = [
    "GET /a HTTP/1.1", "GET /a?b=1&action=x HTTP/2.0", "-", "", r"GET /q\"x HTTP/1.1", "GET /a b HTTP/1.0",
    r"\x16\x03",
]  # fmt: skip
GOOD = st.builds(
    '{} {} {} [{:02}/Jun/2024:{:02}:05:{:02} {}] "{}" {} {}{}'.format,
    st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "host"]),
    st.sampled_from(["-", "id"]),
    st.sampled_from(["-", "John Smith", "a b c"]),
    st.integers(1, 30),
    st.integers(0, 23),
    st.integers(0, 59),
    st.sampled_from(["+0000", "-0330", "+1245", "-0000"]),
    st.sampled_from(REQUESTS),
    st.sampled_from(["200", "404", "99", "2000"]),
    st.sampled_from(["-", "17", "12x"]),
    st.sampled_from(["", ' "-" "agent"', ' "-" "a" "extra"', ' "-"', "\r"]),
)
JUNK = st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"\x00"))


def rows(path: Path, engine: str, pair_by: str) -> tuple[list[tuple[object, ...]], Reading]:
    """Return everything that reading `path` with `engine` hands over."""
    builder = ArrivalBuilder()
    reading = read_files(
        [(str(path), "shown")], builder, pair_by=pair_by, format_name="combined", engine=engine
    )
    table = builder.table()
    found = zip(*(table.columns[name].tolist() for name in COLUMNS), strict=True)
    named = [
        (table.ips[ip], table.urls[url], t, offset_s, table.files[file], line)
        for t, offset_s, ip, url, file, line in found
    ]
    return named, reading


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(GOOD.map(str.encode), JUNK), max_size=30),
    st.booleans(),
    st.sampled_from(["target", "path", "path+action"]),
)
def test_the_kernel_reads_what_the_expression_reads(
    tmp_path: Path, lines: list[bytes], ends: bool, pair_by: str
) -> None:
    path = tmp_path / "any.log"
    path.write_bytes(b"\n".join(lines) + (b"\n" if ends else b""))
    by_kernel, one = rows(path, "kernel", pair_by)
    by_expression, other = rows(path, "regex", pair_by)
    assert by_kernel == by_expression
    assert (one.lines, one.records, one.malformed) == (other.lines, other.records, other.malformed)
    assert (one.engines, other.engines) == ({"shown": "kernel"}, {"shown": "regex"})


@pytest.mark.parametrize("engine", ["kernel", "regex"])
def test_line_numbers_run_on_through_blocks(tmp_path: Path, engine: str) -> None:
    line = b'10.0.0.1 - - [03/Jun/2024:00:00:00 +0000] "GET /%d HTTP/1.1" 200 5 "-" "' + b"x" * 600 + b'"\n'
    path = tmp_path / "long.log"
    path.write_bytes(b"".join(line % (k % 7) for k in range(30_000)))
    taken, reading = rows(path, engine, "target")
    assert [row[5] for row in taken] == list(range(1, 30_001))
    assert taken[29_999][1] == b"/%d" % (29_999 % 7)
    assert reading.lines == 30_000
