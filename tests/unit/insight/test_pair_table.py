"""Pairs of a log that never ends: exact, then approximate within the bound that is told."""

import numpy as np

from trivet.insight.pair_table import PAIR_BYTES, PairTable


def test_exact_below_the_cap() -> None:
    table = PairTable(1 << 20)
    for ip, url, n in (("a", "/x", 3), ("b", "/y", 3), ("c", "/z", 1)):
        for _ in range(n):
            table.add(ip, url)
    assert not table.approximate
    assert table.error_bound == 0
    assert table.top(2) == [("a", "/x", 3), ("b", "/y", 3)]
    assert table.requests == 7


def test_beyond_the_cap_the_bound_holds() -> None:
    table = PairTable(2000 * PAIR_BYTES)
    rng = np.random.default_rng(1)
    true = {("flood", "/login"): 0}
    for k in range(300_000):
        pair = ("flood", "/login") if rng.random() < 0.02 else (f"ip{k % 700}", f"/item/{k}")
        true[pair] = true.get(pair, 0) + 1
        table.add(*pair)
    assert table.approximate
    ip, url, n = table.top(1)[0]
    assert (ip, url) == ("flood", "/login")
    assert true[ip, url] <= n <= true[ip, url] + table.error_bound
    assert 0 < table.error_bound < 0.02 * 300_000
