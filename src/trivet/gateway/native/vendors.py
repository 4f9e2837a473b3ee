"""/api/v1/upstreams: how vendors are, what goes to them and comes from them, and what people order.

Rule: of other people's transfers and files only an administrator hears.
Rule: who may change the folder of a vendor decides about great removals there.
"""

from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.rights import Principal
from trivet.errors import Conflict, NotFound, UpstreamError
from trivet.gateway.native.operations import Operation, answer, asker, drive_of, json_body
from trivet.gateway.native.shapes import TransferTold
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder

#: The keys of transfers to and from vendors begin so.
KEY_PREFIX = "v."
_STATES = {"done": "committed", "failed": "rolled back"}
_KINDS = {kind.__name__: kind for kind in (Conflict, NotFound)}


class Removal(msgspec.Struct, frozen=True):
    """What becomes of the removals that are held back: carried out at the vendor, or undone here."""

    do: Literal["allow", "undo"]


class Removed(msgspec.Struct, frozen=True):
    """How many removals that are."""

    removed: int


async def upstreams(request: Request) -> Response:
    """Tell what `trivet upstream status --json` tells: quota, budgets, what is not settled."""
    who = asker(request)
    told = await _asked(request, "status", {}, {"upstreams": []})
    return answer({"upstreams": [_seen_by(who, one) for one in told["upstreams"]]})


def _seen_by(who: Principal, one: dict[str, Any]) -> dict[str, Any]:
    if who.admin:
        return one
    notices = [notice for notice in one["notices"] if notice["user"] in ("", who.user)]
    return one | {"notices": notices, "unsettled": []}


async def transfers(request: Request) -> Response:
    """Tell what goes to and comes from vendors; of others only an administrator hears."""
    who = asker(request)
    told = await _asked(request, "transfers", {}, {"transfers": []})
    mine = [one for one in told["transfers"] if who.admin or one["transfer"]["user"] == who.user]
    return answer({"transfers": mine})


def is_vendors(request: Request) -> bool:
    """Tell whether `request` is about a transfer to or from a vendor."""
    return str(request.path_params["key"]).startswith(KEY_PREFIX)


async def steer(request: Request, wanted: Literal["tell", "resume", "cancel"]) -> Response:
    """Do what is `wanted` with a vendor's transfer of yours, and tell how it stands then."""
    who, key = asker(request), str(request.path_params["key"])
    told = await _asked(request, "transfer", {"key": key, "wanted": "tell"})
    if not who.admin and told["transfer"]["user"] != who.user:
        raise NotFound("no such transfer; it may have expired or been cancelled")
    if wanted != "tell":
        order = {"key": key, "wanted": wanted, "user": who.user}
        told = await _asked(request, "transfer", order)
    if wanted == "cancel":
        return Response(status_code=204)
    return answer(_shape(told["transfer"]))


def _shape(row: dict[str, Any]) -> TransferTold:
    location = f"/api/v1/files/{row['ino']}/content"
    is_open = row["state"] in ("waiting", "running", "parked")
    expires_at_s = row["touched_s"] + 7 * 24 * 3600.0
    return TransferTold(
        row["key"], _STATES.get(row["state"], row["state"]), row["moved"], row["name"], location, is_open,
        expires_at_s, row["touched_s"], row["size"], str(row["ino"]), row["error"], row["direction"],
    )  # fmt: skip


async def removals(request: Request) -> Response:
    """Carry out, or undo, what was held back because so much was removed at a time."""
    who, name = asker(request), str(request.path_params["name"])
    wanted = await json_body(request, Removal)
    told = await _asked(request, "status", {}, {"upstreams": []})
    found = [one for one in told["upstreams"] if one["name"] == name]
    if not found:
        raise NotFound(f"there is no upstream {name[:40]!r}")
    who.check("w", found[0]["at"])
    order = {"wanted": wanted.do, "name": name, "user": who.user}
    return answer(msgspec.convert(await _asked(request, "removals", order), Removed))


async def _asked(
    request: Request, verb: str, arguments: dict[str, Any], nothing: dict[str, Any] | None = None
) -> dict[str, Any]:
    socket = VolumeFolder(drive_of(request).folder.parent).upstream_socket
    try:
        return await ask(socket, verb, arguments)
    except NotRunning as error:
        if nothing is None:
            raise NotFound("no vendor stands behind this drive") from error
        return nothing
    except Remote as error:
        if error.kind in _KINDS:
            raise _KINDS[error.kind](str(error)) from error
        raise UpstreamError(f"the upstream's process does not answer: {error}") from error


OPERATIONS = [
    Operation("GET", "/upstreams", upstreams, "Tell how vendors are: quota, budgets, what is not settled."),
    Operation("GET", "/upstreams/transfers", transfers, "Tell what goes to and comes from vendors."),
    Operation("POST", "/upstreams/{name}/removals", removals, "Allow or undo a great removal.", Removed,
              body=Removal, errors=(404,)),
]  # fmt: skip
