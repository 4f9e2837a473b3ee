"""The order of a listing: the keys of `orderBy`, and the pages it is told in.

Rule: the id is always the last key, so that an order is total and a page goes on behind the one before it.
Rule: a page's token carries the keys of its last file and what was asked; a token of another question is
refused.
"""

import base64
import binascii
import heapq
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering
from typing import Any

import blake3
import msgspec

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.resources import FileView

_KEYS = """
    createdTime folder modifiedByMeTime modifiedTime name name_natural quotaBytesUsed recency
    sharedWithMeTime starred viewedByMeTime"""
KEYS = frozenset(_KEYS.split())
PAGE_DEFAULT, PAGE_MAX = 100, 1000
SEAL_BYTES = 9
TOKEN_MAX_CHARACTERS = 16_384
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of an order."""

    name: str
    descending: bool


@total_ordering
class _Descending:
    """Turns the order of a value round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    def __lt__(self, other: "_Descending") -> bool:
        return bool(other.value < self.value)


def parse_order(text: str | None) -> list[SortKey]:
    """Return the keys of `text` ("folder,name desc"); InvalidParameter with location orderBy."""
    keys: list[SortKey] = []
    for part in (text or "").split(",") if text and text.strip() else []:
        words = part.split()
        if not words or words[0] not in KEYS or len(words) > 2 or words[1:] not in ([], ["desc"], ["asc"]):
            raise InvalidParameter(f"Invalid Value: orderBy has no key {part.strip()[:80]!r}", "orderBy")
        keys.append(SortKey(words[0], words[1:] == ["desc"]))
    return keys


def natural(name: str) -> list[Any]:
    """Return what `name` sorts by so that "file 9" comes before "file 10"."""
    parts = _DIGITS.split(unicodedata.normalize("NFC", name).casefold())
    return [[0, int(part[:300]), ""] if part.isdecimal() else [1, 0, part] for part in parts if part]


def _value(key: str, view: FileView) -> Any:
    if key == "folder":
        return 0 if view.is_folder else 1
    if key == "name":
        return unicodedata.normalize("NFC", view.name).casefold()
    if key == "name_natural":
        return natural(view.name)
    if key == "quotaBytesUsed":
        return view.size
    if key == "starred":
        return 0 if view.metadata.starred else 1
    if key == "createdTime":
        return view.created_ns
    if key == "viewedByMeTime":
        return view.metadata.viewed_ns or 0
    return 0 if key == "sharedWithMeTime" else view.modified_ns


def sort_values(keys: list[SortKey], view: FileView) -> list[Any]:
    """Return the plain values that place `view` in the order; they fit into a page token."""
    return [*(_value(key.name, view) for key in keys), view.ino]


def comparable(keys: list[SortKey], values: list[Any]) -> tuple[Any, ...]:
    """Return `values` as something that compares in the order of `keys`."""
    turned = (
        _Descending(value) if key.descending else value for key, value in zip(keys, values[:-1], strict=True)
    )
    return (*turned, values[-1])


def page_of(
    keys: list[SortKey], after: list[Any] | None, size: int, views: Iterable[FileView]
) -> tuple[list[FileView], list[Any] | None]:
    """Return the `size` first of `views` behind `after`, in order, and where to go on (None = that was all).

    Holds no more than size + 1 of them at once.
    """
    behind = None if after is None else comparable(keys, after)
    placed = ((comparable(keys, sort_values(keys, view)), view) for view in views)
    kept = heapq.nsmallest(
        size + 1, (item for item in placed if behind is None or item[0] > behind), key=lambda item: item[0]
    )
    page = [view for _, view in kept[:size]]
    return page, sort_values(keys, page[-1]) if len(kept) > size else None


def parse_page_size(text: str | None, default: int = PAGE_DEFAULT) -> int:
    """Return pageSize: 1 to 1000, larger ones cut; InvalidParameter if it is no such number."""
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) < 1:
        raise InvalidParameter(
            f"Invalid value '{text[:40]}'. Values must be within the range: [1, {PAGE_MAX}]", "pageSize"
        )
    return min(int(text), PAGE_MAX)


def question_mark(*parts: str | None) -> str:
    """Return a short mark of the question that a token belongs to; one part should be a secret."""
    return blake3.blake3(msgspec.json.encode(parts)).hexdigest(length=16)


def write_token(mark: str, place: list[Any]) -> str:
    """Return the page token that goes on behind `place`; nobody can make one up without the mark."""
    packed = msgspec.msgpack.encode(place)
    return base64.urlsafe_b64encode(_seal(mark, packed) + packed).decode().rstrip("=")


def read_token(token: str, mark: str) -> list[Any]:
    """Return the place that `token` goes on behind; InvalidParameter if it is not of the question `mark`."""
    if len(token) > TOKEN_MAX_CHARACTERS or not token.isascii():
        raise _bad_token()
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError) as error:
        raise _bad_token() from error
    if packed[:SEAL_BYTES] != _seal(mark, packed[SEAL_BYTES:]):
        raise _bad_token()
    return msgspec.msgpack.decode(packed[SEAL_BYTES:], type=list[Any])


def _seal(mark: str, packed: bytes) -> bytes:
    return blake3.blake3(mark.encode() + packed).digest(length=SEAL_BYTES)


def _bad_token() -> InvalidParameter:
    return InvalidParameter("Invalid Value: pageToken is not one of this listing", "pageToken")
