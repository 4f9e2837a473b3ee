"""What the HTTP door is measured against: a plain starlette app that hashes while it streams.

Rule: as fast as such an app is written by hand: large reads, no thread per piece, nothing but its job.
"""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

PIECE_BYTES = 1 << 20
COPIES = 3
#: What a Drive file must be told with; PLAIN_SUMS names others.
SUMS = os.environ.get("PLAIN_SUMS", "md5,sha1,sha256").split(",")


def _place(request: Request) -> Path:
    name: str = request.path_params["name"]
    return Path(os.environ["PLAIN_FOLDER"]) / name


async def upload(request: Request) -> Response:
    """PUT /name: hash and write three copies."""
    sums = [hashlib.new(name) for name in SUMS]
    place = _place(request)
    copies = [place.with_suffix(f".{number}").open("wb") for number in range(COPIES)]
    async for data in request.stream():
        for one in sums:
            one.update(data)
        for copy in copies:
            copy.write(data)
    for copy in copies:
        copy.close()
    return Response("\n".join(one.hexdigest() for one in sums))


async def download(request: Request) -> Response:
    """GET /name: read one copy, hashing what is sent."""
    path = _place(request).with_suffix(".0")

    async def body() -> AsyncIterator[bytes]:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                yield piece

    return StreamingResponse(body(), headers={"Content-Length": str(path.stat().st_size)})


app = Starlette(routes=[Route("/{name}", upload, methods=["PUT"]), Route("/{name}", download)])
