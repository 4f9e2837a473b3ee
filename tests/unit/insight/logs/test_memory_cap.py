"""Over their memory, both engines keep what is heavy and say by how much they may be too low."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from trivet.insight.logs.engine_kernel import KernelEngine
from trivet.insight.logs.engine_regex import RegexEngine
from trivet.wire.access_formats import named_format

DISTINCT = 200_000


def lines() -> list[bytes]:
    """Return many different URLs, each once, among a few that come often; in random order."""
    rng = np.random.default_rng(1)
    urls = [f"/rare/{k}" for k in range(DISTINCT)] + ["/heavy/a"] * 9_000 + ["/heavy/b"] * 5_000
    return [
        f'10.0.{k % 7}.1 - - [03/Jun/2024:10:00:00 +0000] "GET {urls[k]} HTTP/1.1" 200 3 "-" "x"'.encode()
        for k in rng.permutation(len(urls)).tolist()
    ]


@pytest.mark.parametrize("engine_type", [KernelEngine, RegexEngine])
def test_undercounts_stay_within_what_is_said(engine_type: Any) -> None:
    made = lines()
    engine = engine_type(16 << 20)
    how = 0 if engine_type is KernelEngine else named_format("combined")
    for start in range(0, len(made), 10_000):
        engine.feed(b"\n".join(made[start : start + 10_000]) + b"\n", how)
    summary = engine.summary()
    assert summary.records == len(made)
    assert summary.bytes_sum == 3 * len(made)
    assert {name: hits for name, (hits, _) in summary.sections.items()} == {
        b"/rare": DISTINCT,
        b"/heavy": 14_000,
    }
    assert summary.undercount["urls"] > 0
    true = Counter({b"/heavy/a": 9_000, b"/heavy/b": 5_000})
    for url, hits in summary.top_urls[:2]:
        assert true[url] - summary.undercount["urls"] <= hits <= true[url]
    assert [url for url, _ in summary.top_urls[:2]] == [b"/heavy/a", b"/heavy/b"]
    assert summary.agents == [(b"x", len(made))]
    assert dict(summary.top_ips) == Counter(line.split(b" ")[0] for line in made)
    assert summary.distinct_ips == 7
    assert summary.distinct_pairs == pytest.approx(
        len({(line.split(b" ")[0], line.split(b" ")[6]) for line in made}), rel=0.03
    )


def test_nothing_is_approximate_within_memory() -> None:
    engine = KernelEngine(1 << 30)
    engine.feed(b"\n".join(lines()[:50_000]) + b"\n", 0)
    assert engine.summary().undercount == {}
