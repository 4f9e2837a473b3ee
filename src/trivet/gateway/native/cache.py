"""/api/v1/cache: how often what is kept of vendors was asked for; bodies fetched ahead, or given up.

Rule: who may read a folder may have it fetched ahead, at the cost of their day's bytes; who may change it may
have its bodies given up.
"""

from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.names import check_path
from trivet.errors import Conflict, InputError, NotFound, UpstreamError
from trivet.gateway.files.paths import find_path
from trivet.gateway.native.operations import Operation, answer, asker, drive_of, json_body
from trivet.gateway.usage import check_usage
from trivet.io.cache_report import ask_cache
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder

#: What takes longer goes on behind the answer.
WAIT_S = 10.0
_KINDS = {kind.__name__: kind for kind in (Conflict, InputError, NotFound)}


class CachePath(msgspec.Struct, frozen=True):
    """A file or folder of a vendor, as a path of the drive."""

    path: str


class CacheOrder(msgspec.Struct, frozen=True):
    """What was done: `files` of `size_bytes` were fetched, or given up, and `left` were not: `why`.

    While it is `running` that is not known yet: who ordered it gets a notice of its end.
    """

    do: Literal["warm", "evict"]
    path: str
    state: Literal["done", "running"]
    files: int
    size_bytes: int
    left: int
    why: str


async def cache(request: Request) -> Response:
    """Tell what `trivet cache --json` tells; paths only to those who may read them."""
    who = asker(request)

    def readable(named: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for one in named if who.may("r", one["path"])]

    try:
        told = await ask_cache(VolumeFolder(drive_of(request).folder.parent))
    except Remote as error:
        raise UpstreamError(f"the upstream's process does not answer: {error}") from error
    mine = [
        one | {"kept_hot": readable(one["kept_hot"]), "warm_ups": readable(one["warm_ups"])}
        for one in told["caches"]
    ]
    return answer({"caches": mine})


async def warm(request: Request) -> Response:
    """Fetch what is away at a path, or below it, before people ask for it."""
    check_usage()
    return await _ordered(request, "warm")


async def evict(request: Request) -> Response:
    """Let what is at a path, or below it, be at the vendor only."""
    return await _ordered(request, "evict")


async def _ordered(request: Request, do: Literal["warm", "evict"]) -> Response:
    drive, who = drive_of(request), asker(request)
    names = check_path((await json_body(request, CachePath)).path)
    await find_path(drive, names, who, "w" if do == "evict" else "r")
    order = {"wanted": do, "path": "/" + "/".join(names), "user": who.user, "wait_s": WAIT_S}
    try:
        told = await ask(VolumeFolder(drive.folder.parent).upstream_socket, "cache-order", order)
    except NotRunning as error:
        raise NotFound("no vendor stands behind this drive") from error
    except Remote as error:
        raise _KINDS.get(error.kind, UpstreamError)(str(error)) from error
    done = msgspec.convert(told, CacheOrder)
    return answer(done, 200 if done.state == "done" else 202)


OPERATIONS = [
    Operation("GET", "/cache", cache, "Tell how well what is kept of vendors serves."),
    Operation("POST", "/cache/warm", warm, "Fetch a folder of a vendor ahead; 202 if it takes longer.",
              CacheOrder, body=CachePath, errors=(400, 403, 404, 409, 429)),
    Operation("POST", "/cache/evict", evict, "Keep a folder of a vendor there only; 202 if it takes longer.",
              CacheOrder, body=CachePath, errors=(400, 403, 404, 409)),
]  # fmt: skip
