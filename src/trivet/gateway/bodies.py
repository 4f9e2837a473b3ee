"""Request bodies: streamed, bounded, and never waited for without end.

Rule: a body that breaks off is an error, so that nothing takes it for whole.
Rule: a body packed by gzip (as some clients send JSON) is unpacked as it comes, in bounded pieces.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from trivet.errors import PayloadTooLarge, RequestError, TooSlow

JSON_MAX_BYTES = 1 << 20
#: How long a client may take to send the next bytes of a body.
IDLE_S = 60.0
UNPACKED_BYTES = 256 << 10


def streamed(request: Request) -> AsyncIterator[bytes]:
    """Return the body of `request` as it comes; TooSlow when it stalls, RequestError when it is cut."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"identity", ""}:
        return _received(request)
    if coding not in {"gzip", "x-gzip"}:
        raise RequestError(f"bodies may be packed by gzip, not by {coding[:40]!r}")
    return _unpacked(_received(request))


async def _unpacked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        async for data in body:
            while data:
                if unpacking.eof:
                    raise RequestError("something follows the packed body")
                piece = unpacking.decompress(data, UNPACKED_BYTES)
                data = unpacking.unconsumed_tail or unpacking.unused_data
                if piece:
                    yield piece
    except zlib.error as error:
        raise RequestError(f"the body is not what gzip makes: {error}") from error
    if not unpacking.eof:
        raise RequestError("the packed body ends early")


async def _received(request: Request) -> AsyncIterator[bytes]:
    stream = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(IDLE_S):
                data = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise TooSlow(f"nothing came for {IDLE_S:g} s; the rest can be sent later") from error
        except ClientDisconnect as error:
            raise RequestError("the client went away before the last byte") from error
        if data:
            yield data


async def small_body(request: Request, limit: int = JSON_MAX_BYTES) -> bytes:
    """Return the whole body, PayloadTooLarge when it is over `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    async for data in streamed(request):
        size += len(data)
        if size > limit:
            raise PayloadTooLarge(f"this body may have at most {limit:,} bytes")
        parts.append(data)
    return b"".join(parts)


def content_length(request: Request) -> int | None:
    """Return how long the body of `request` says it is, None if it does not (a chunked or packed body)."""
    if "content-encoding" in request.headers:
        return None
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
