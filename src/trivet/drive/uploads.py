"""A resumable upload: which bytes of a request are new, what is answered, when it is whole.

Rule: the known prefix of a chunk is skipped, a chunk that begins behind what is held writes nothing.
Rule: every chunk but the last is a multiple of 256 KiB; the total, once said, never changes. Where the total
is not known yet, larger chunks of any size are taken: some clients send what they have and ignore Range.
Rule: the state is a value that a store keeps; `held` counts only bytes that are safely written.
Source: the published protocol's page "Upload file data", section "Resumable upload".
"""

from dataclasses import dataclass

import msgspec

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.ranges import FILE_MAX_BYTES, ContentRange, parse_content_range
from trivet.errors import PayloadTooLarge, SessionExpired

CHUNK_UNIT_BYTES = 256 << 10
EXPIRY_S = 7 * 24 * 3600.0


class UploadState(msgspec.Struct, frozen=True):
    """How far an upload is: `held` bytes of `total` (None = not known), until `expires_at_s`."""

    held: int
    total: int | None
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """What to do with a request's body: skip `skip` bytes, then write at most `take` at `offset`.

    `take` None means until the body ends; `last` when the upload is whole after it; `total` is what is known.
    """

    skip: int
    offset: int
    take: int | None
    last: bool
    total: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """The request only asks how far the upload is; `complete` when all bytes are held already."""

    complete: bool
    total: int | None


@dataclass(frozen=True, slots=True)
class Gap:
    """The chunk begins behind what is held: nothing may be written."""


def plan_request(
    state: UploadState, content_range: str | None, length: int | None, now_s: float
) -> Chunk | Query | Gap:
    """Say what a PUT or POST to a session means, from its Content-Range and Content-Length (None = unsaid).

    No Content-Range is the whole file from its beginning. Raises SessionExpired, InvalidParameter.
    """
    if now_s >= state.expires_at_s:
        raise SessionExpired("this upload session has expired; begin a new one")
    if content_range is None:
        if length is not None and length > FILE_MAX_BYTES:
            raise PayloadTooLarge(f"a file has at most {FILE_MAX_BYTES} bytes")
        _check_total(state, length)
        total = state.total if state.total is not None else length
        return Chunk(state.held, state.held, None, last=True, total=total)
    said = parse_content_range(content_range)
    _check_total(state, said.total)
    total = state.total if said.total is None else said.total
    if said.start is None:
        return Query(total is not None and state.held == total, total)
    return _plan_chunk(state, said, total, length)


def _plan_chunk(state: UploadState, said: ContentRange, total: int | None, length: int | None) -> Chunk | Gap:
    assert said.start is not None
    if total is not None and said.stop > total:
        raise _wrong(f"the chunk ends at {said.stop}, behind the total of {total} bytes")
    size = said.stop - said.start
    if length is not None and length != size:
        raise _wrong(f"Content-Range says {size} bytes, Content-Length {length}")
    last = said.stop == total
    if not last and size % CHUNK_UNIT_BYTES and (total is not None or size < CHUNK_UNIT_BYTES):
        raise _wrong(f"a chunk of {size} bytes: all but the last are multiples of {CHUNK_UNIT_BYTES} bytes")
    if said.start > state.held:
        return Gap()
    skip = min(size, state.held - said.start)
    return Chunk(skip, state.held, size - skip, last=last, total=total)


def _check_total(state: UploadState, total: int | None) -> None:
    if total is None:
        return
    if (state.total is not None and state.total != total) or total < state.held:
        known = state.total if state.total is not None else f"at least {state.held}"
        raise _wrong(f"the total is {total} now and was {known} before")


def _wrong(message: str) -> InvalidParameter:
    return InvalidParameter(message, "Content-Range", kind="header")


def held_range(held: int) -> str | None:
    """Return the Range header of a 308 answer; None, no header, when nothing is held."""
    return f"bytes=0-{held - 1}" if held else None
