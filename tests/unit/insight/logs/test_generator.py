"""Made-up lines are records with the stamp asked for, however they are cut into batches."""

import numpy as np
import pytest

from trivet.insight.logs.generator import LineMaker, Site
from trivet.wire.access_log import parse_combined, split_lines

STAMP = "05/Jun/2024:13:07:09 +0200"


def made(site: Site, *counts: int, seed: int = 1) -> bytes:
    """Return batches of `counts` lines, one behind the other."""
    maker = LineMaker(site, np.random.default_rng(seed))
    return b"".join(maker.batch(count, STAMP) for count in counts)


def test_every_line_is_a_record_stamped_as_asked() -> None:
    records = [parse_combined(line) for line in split_lines(made(Site(), 3000))]
    assert len(records) == 3000
    assert {record and record.time_s for record in records} == {1717585629}
    assert len({record and record.ip for record in records}) > 500


@pytest.mark.parametrize("counts", [(70_000,), (65_536, 4_464), (1,) * 100 + (69_900,)])
def test_batches_cut_the_same_requests(counts: tuple[int, ...]) -> None:
    assert made(Site(3), *counts) == made(Site(3), 35_000, 35_000)


def test_the_factor_is_the_variety() -> None:
    def distinct(factor: float) -> set[bytes]:
        records = map(parse_combined, split_lines(made(Site(factor), 60_000)))
        return {record.target for record in records if record}

    assert len(distinct(0.001)) == 1
    assert len(distinct(1)) == 1000
    # a quarter of the lines asks for any page at all, so nearly each of those is another one
    assert len(distinct(100_000)) > 20_000


def test_popular_pages_come_often() -> None:
    records = map(parse_combined, split_lines(made(Site(10), 40_000)))
    pages = [record.target.rpartition(b"-")[2] for record in records if record]
    assert pages.count(b"000") > 20 * pages.count(b"500")


def test_floods_and_malformed_lines_have_their_shares() -> None:
    lines = split_lines(made(Site(flood_share=0.2, malformed_share=0.01), 50_000))
    records = [parse_combined(line) for line in lines]
    assert 400 < records.count(None) < 600
    assert 9_500 < sum(record is not None and record.ip == b"203.0.113.77" for record in records) < 10_500
