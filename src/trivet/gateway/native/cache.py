"""/api/v1/cache: how often what is kept of vendors was what people asked for."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from trivet.errors import UpstreamError
from trivet.gateway.native.operations import Operation, answer, asker, drive_of
from trivet.io.cache_report import ask_cache
from trivet.io.control_socket import Remote
from trivet.io.volume_folder import VolumeFolder


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


OPERATIONS = [Operation("GET", "/cache", cache, "Tell how well what is kept of vendors serves.")]
