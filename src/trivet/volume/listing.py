"""Listing: reading a directory in pieces while names come and go.

Rule: a name's cookie is a hash of the name alone, so a listing goes on at the right place whatever happened
to the directory meanwhile, and a name that is there all the time is told exactly once. Cookies are good for
the life of the process.
Rule: the sorted order of a directory is kept for a bounded number of directories, and made anew when a
listing begins at a changed one.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

_COOKIE_MASK = (1 << 62) - 1
_FIRST_COOKIE = 16


class _Order:
    __slots__ = ("cookies", "is_old", "names")

    def __init__(self, cookies: list[int], names: list[bytes]) -> None:
        self.cookies = cookies
        self.names = names
        self.is_old = False


class Listings:
    """Orders of the directories listed last."""

    __slots__ = ("_limit", "_orders")

    def __init__(self, limit: int = 64) -> None:
        self._orders: dict[int, _Order] = {}
        self._limit = limit

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
        self._orders.pop(ino, None)
        if len(self._orders) >= self._limit:
            del self._orders[next(iter(self._orders))]
        self._orders[ino] = order
        return order


def _order_of(names: Mapping[bytes, int]) -> _Order:
    pairs = sorted([((hash(name) & _COOKIE_MASK) + _FIRST_COOKIE, name) for name in names])
    cookies = [cookie for cookie, _name in pairs]
    for at in range(1, len(cookies)):
        if cookies[at] <= cookies[at - 1]:
            cookies[at] = cookies[at - 1] + 1
    return _Order(cookies, [name for _cookie, name in pairs])
