"""Listing: reading a directory in pieces while names come and go.

Rule: a name's cookie is a hash of the name alone, so a listing goes on at the right place whatever happened
to the directory meanwhile, and a name that is there all the time is told exactly once. Cookies are good for
the life of the process.
Rule: the sorted order of a directory is kept for directories of a bounded number of names, and made anew
when a listing begins at a changed one.
"""

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence

_COOKIE_MASK = (1 << 62) - 1
_FIRST_COOKIE = 16


class _Order:
    __slots__ = ("cookies", "is_old", "names")

    def __init__(self, cookies: "array[int]", names: list[bytes]) -> None:
        self.cookies = cookies
        self.names = names
        self.is_old = False


class Listings:
    """Orders of the directories listed last."""

    __slots__ = ("_limit_names", "_names", "_orders")

    def __init__(self, limit_names: int = 1_000_000) -> None:
        self._orders: dict[int, _Order] = {}
        self._limit_names = limit_names
        self._names = 0

    def changed(self, ino: int) -> None:
        """Note that names of a directory came or went."""
        order = self._orders.get(ino)
        if order is not None:
            order.is_old = True

    def read(
        self, ino: int, names: Mapping[bytes, int], after_cookie: int, limit: int
    ) -> Sequence[tuple[bytes, int, int]]:
        """Return up to `limit` (name, cookie, inode number) behind `after_cookie` (0 = from the start)."""
        order = self._orders.get(ino)
        if order is None or (order.is_old and after_cookie == 0):
            order = self._keep(ino, _order_of(names))
        found: list[tuple[bytes, int, int]] = []
        at = bisect_right(order.cookies, after_cookie)
        while len(found) < limit and at < len(order.names):
            name = order.names[at]
            entry = names.get(name)
            if entry is not None:
                found.append((name, order.cookies[at], entry))
            at += 1
        return found

    def _keep(self, ino: int, order: _Order) -> _Order:
        self._forget(ino)
        self._orders[ino] = order
        self._names += len(order.names) + 1
        while self._names > self._limit_names and len(self._orders) > 1:
            self._forget(next(iter(self._orders)))
        return order

    def _forget(self, ino: int) -> None:
        order = self._orders.pop(ino, None)
        if order is not None:
            self._names -= len(order.names) + 1


def _order_of(names: Mapping[bytes, int]) -> _Order:
    found = [(hash(name) & _COOKIE_MASK) + _FIRST_COOKIE for name in names]
    by_cookie = dict(zip(found, names, strict=True))
    if len(by_cookie) == len(names):  # all but ever: sorting numbers alone takes a quarter of the time
        ordered = sorted(by_cookie)
        return _Order(array("Q", ordered), list(map(by_cookie.__getitem__, ordered)))
    pairs = sorted(zip(found, names, strict=True))
    cookies = array("Q", [cookie for cookie, _name in pairs])
    for at in range(1, len(cookies)):
        if cookies[at] <= cookies[at - 1]:
            cookies[at] = cookies[at - 1] + 1
    return _Order(cookies, [name for _cookie, name in pairs])
