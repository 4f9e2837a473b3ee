"""Request bodies: streamed, bounded, and never waited for without end.

Rule: a body that breaks off is an error, so that nothing takes it for whole.
"""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from trivet.errors import PayloadTooLarge, RequestError, TooSlow

JSON_MAX_BYTES = 1 << 20
#: How long a client may take to send the next bytes of a body.
IDLE_S = 60.0


async def streamed(request: Request) -> AsyncIterator[bytes]:
    """Yield the body of `request` as it comes; TooSlow when it stalls, RequestError when it is cut."""
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
    """Return the Content-Length of `request`, None if it has none (a chunked body)."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
