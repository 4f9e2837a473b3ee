"""Range and Content-Range: what they mean, and what is refused."""

import pytest

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.ranges import ByteRange, ContentRange, parse_content_range, parse_range
from trivet.errors import BadRange


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=3-5", (3, 6)),
        ("bytes=3-500", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-400", (0, 10)),
        (None, None),
        ("", None),
        ("bytes=5-3", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges_of_ten_bytes(header: str | None, expected: tuple[int, int] | None) -> None:
    found = parse_range(header, 10)
    assert found == (None if expected is None else ByteRange(*expected, 10))


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_outside_is_refused_with_the_size(header: str, size: int) -> None:
    with pytest.raises(BadRange) as caught:
        parse_range(header, size)
    assert caught.value.size_bytes == size


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 0-9/10", ContentRange(0, 10, 10)),
        ("bytes 5-9/*", ContentRange(5, 10, None)),
        ("bytes */10", ContentRange(None, 0, 10)),
        ("bytes */*", ContentRange(None, 0, None)),
        ("bytes */0", ContentRange(None, 0, 0)),
    ],
)
def test_content_ranges(header: str, expected: ContentRange) -> None:
    assert parse_content_range(header) == expected


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes 0-9", "bytes=0-9/10", "bytes 9-0/10", "bytes 0-10/10", "bytes 0-9/-1",
     "bytes -5-9/10", "octets 0-9/10", "bytes 0-9/10, 3-4/10", f"bytes 0-{1 << 60}/*", "bytes 0-\u0663/9"],
)  # fmt: skip
def test_content_ranges_that_are_none(header: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_content_range(header)
    assert (caught.value.location, caught.value.kind) == ("Content-Range", "header")
