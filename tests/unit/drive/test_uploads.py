"""The resumable upload: chunks, known prefixes, gaps, empty files, totals that change."""

import pytest

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.uploads import Chunk, Gap, Query, UploadState, held_range, plan_request
from trivet.errors import PayloadTooLarge, SessionExpired

UNIT = 256 << 10


def plan(state: tuple[int, int | None], header: str | None, length: int | None = None) -> object:
    return plan_request(UploadState(*state, 100.0), header, length, 50.0)


def test_first_chunk() -> None:
    assert plan((0, None), f"bytes 0-{UNIT - 1}/*", UNIT) == Chunk(0, 0, UNIT, False, None)


def test_last_chunk_may_have_any_size() -> None:
    total = UNIT + 5
    assert plan((UNIT, total), f"bytes {UNIT}-{total - 1}/{total}") == Chunk(0, UNIT, 5, True, total)


def test_known_prefix_is_skipped() -> None:
    assert plan((UNIT, None), f"bytes 0-{2 * UNIT - 1}/*") == Chunk(UNIT, UNIT, UNIT, False, None)
    assert plan((2 * UNIT, None), f"bytes 0-{UNIT - 1}/*") == Chunk(UNIT, 2 * UNIT, 0, False, None)


def test_chunk_behind_what_is_held_is_a_gap() -> None:
    assert plan((0, None), f"bytes {UNIT}-{2 * UNIT - 1}/*") == Gap()


def test_query() -> None:
    assert plan((5, 10), "bytes */10") == Query(False, 10)
    assert plan((10, 10), "bytes */10") == Query(True, 10)
    assert plan((0, None), "bytes */*") == Query(False, None)
    assert plan((10, None), "bytes */10") == Query(True, 10)


def test_whole_file_without_content_range() -> None:
    assert plan((0, None), None, 0) == Chunk(0, 0, None, True, 0)
    assert plan((0, None), None) == Chunk(0, 0, None, True, None)
    assert plan((7, 9), None, 9) == Chunk(7, 7, None, True, 9)


@pytest.mark.parametrize(
    ("state", "header", "length"),
    [
        ((0, None), "bytes 0-99/*", None),
        ((0, 10), "bytes 0-9/11", None),
        ((0, 10), "bytes */11", None),
        ((20, None), "bytes */11", None),
        ((0, 10), None, 11),
        ((0, 10), f"bytes 0-{UNIT - 1}/*", None),
        ((0, None), "bytes 0-9/10", 9),
        ((0, None), "rubbish", None),
    ],
)
def test_wrong_requests(state: tuple[int, int | None], header: str | None, length: int | None) -> None:
    with pytest.raises(InvalidParameter):
        plan(state, header, length)


def test_expired_and_too_large() -> None:
    with pytest.raises(SessionExpired):
        plan_request(UploadState(0, None, 50.0), "bytes */*", None, 50.0)
    with pytest.raises(PayloadTooLarge):
        plan((0, None), None, 1 << 60)


def test_range_header_of_what_is_held() -> None:
    assert held_range(0) is None
    assert held_range(1) == "bytes=0-0"
