"""What stands at one path of a tree that is carried from one place to another.

Rule: a folder comes before what stands in it, the first name of a file before its other names.
Rule: an entry is used up before the next one is asked for, its bytes read in order: it may be a stream.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trivet.volume.attributes import PAGE_BYTES
from trivet.volume.interface import Attributes
from trivet.volume.stored_body import StoredBody

Span = tuple[int, int]
Read = Callable[[int, int], Awaitable[bytes]]


async def _nothing(offset: int, size: int) -> bytes:
    raise AssertionError("this entry has no bytes")


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name; `path` is relative to the top, whose own path is empty.

    `link` is the path of the same file's first name, of which this is one more; `spans` are the [start, end)
    that hold bytes, the rest is holes; `read` (offset, size) returns bytes within one span.
    """

    path: bytes
    attributes: Attributes
    target: bytes = b""
    link: bytes | None = None
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    read: Read = _nothing

    @property
    def held_bytes(self) -> int:
        """How many bytes are no holes."""
        return sum(end - start for start, end in self.spans)


def spans_of(body: StoredBody) -> list[Span]:
    """Return the spans of a body that are stored, in order, joined where they touch."""
    pages = sorted([*body.stored_pages(), *((page, page + 1) for page in body.pages)])
    spans: list[Span] = []
    for first, last in pages:
        start, end = first * PAGE_BYTES, min(last * PAGE_BYTES, body.size)
        if start >= end:
            continue
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(end, spans[-1][1])
        else:
            spans.append((start, end))
    return spans
