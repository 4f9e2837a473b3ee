"""Listing: every name that stays is told exactly once, whatever comes and goes."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.volume.listing import Listings


def drain(listings: Listings, names: dict[bytes, int], step: int, change: object = None) -> list[bytes]:
    """List in steps of `step`, calling `change` in between."""
    found: list[bytes] = []
    cookie = 0
    while part := listings.read(1, names, cookie, step):
        found += [name for name, _cookie, _ino in part]
        cookie = part[-1][1]
        if callable(change):
            change()
    return found


@settings(max_examples=60)
@given(st.integers(0, 200), st.integers(1, 50), st.integers(0, 1 << 20))
def test_names_that_stay_are_told_once(count: int, step: int, seed: int) -> None:
    rng = random.Random(seed)
    names = {b"stay%d" % at: at for at in range(count)}
    names |= {b"go%d" % at: at for at in range(count)}
    listings = Listings(limit_names=10)

    def change() -> None:
        gone = rng.choice([name for name in names if name.startswith(b"go")] or [b""])
        names.pop(gone, None)
        names[b"new%d" % rng.randrange(10**6)] = 5
        listings.changed(1)
        if rng.random() < 0.3:
            listings.read(2, {b"a": 1}, 0, 1)
            listings.read(3, {b"a": 1}, 0, 1)

    found = drain(listings, names, step, change)
    assert len(found) == len(set(found))
    assert {name for name in found if name.startswith(b"stay")} == {b"stay%d" % at for at in range(count)}


def test_a_new_listing_sees_what_changed() -> None:
    listings = Listings()
    names = {b"a": 1}
    assert drain(listings, names, 5) == [b"a"]
    names[b"b"] = 2
    listings.changed(1)
    assert sorted(drain(listings, names, 1)) == [b"a", b"b"]
    del names[b"a"]
    listings.changed(1)
    assert drain(listings, names, 1) == [b"b"]


def test_names_with_equal_hashes_are_all_told() -> None:
    class Same(bytes):
        def __hash__(self) -> int:
            return 7

    names = {Same(b"%d" % at): at for at in range(20)}
    assert sorted(drain(Listings(), names, 3)) == sorted(names)  # type: ignore[arg-type]


def test_200_000_names_are_listed_in_order_of_their_cookies() -> None:
    names = {b"name%d" % at: at for at in range(200_000)}
    assert len(set(drain(Listings(), names, 1000))) == 200_000


def test_orders_kept_are_bounded() -> None:
    listings = Listings(limit_names=100)
    for ino in range(50):
        listings.read(ino, {b"%d" % at: at for at in range(20)}, 0, 5)
    assert listings._names <= 100
    listings.read(99, {b"%d" % at: at for at in range(500)}, 0, 5)
    assert list(listings._orders) == [99]
