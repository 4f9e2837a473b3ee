"""/api/v1/transfers for downloads: begun by key, got in parts, gone on with in any worker.

Rule: what a client says it holds is believed once its checksum is that of the same bytes here.
"""

import hashlib

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import decode_json
from trivet.drive.names import check_path
from trivet.gateway.bodies import small_body
from trivet.gateway.files import downloads, nodes
from trivet.gateway.files.leaving import Outgoing, outgoing
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.reading import hold, read_pieces
from trivet.gateway.native.operations import answer, asker, drive_of
from trivet.gateway.native.shapes import Held, NewTransfer, transfer_told
from trivet.gateway.sending import send_file
from trivet.gateway.waypoints import moving


def is_download(request: Request) -> bool:
    """Tell whether the key in the path of `request` is one of a download."""
    return str(request.path_params["key"]).startswith(downloads.KEY_PREFIX)


async def begin_download(request: Request, wanted: NewTransfer) -> Response:
    """Begin a download; its content is what the file has now."""
    drive, who = drive_of(request), asker(request)
    if wanted.target is not UNSET:
        view = await nodes.find(drive, wanted.target, who)
    elif wanted.path is not UNSET:
        view = await find_path(drive, check_path(wanted.path), who)
    else:
        raise InvalidParameter("a download needs a path or a target", "target")
    if view.is_folder:
        raise InvalidParameter(f"{view.name} is a folder", "target")
    one = downloads.new(who.user, downloads.plan_of(outgoing(view), view.size, view.modified_ns))
    await downloads.keep(drive, one)
    told = transfer_told(one)
    return answer(told, 201, {"Location": told.location})


async def _asked(request: Request) -> LiveDownload:
    return await downloads.get(drive_of(request), request.path_params["key"], asker(request))


async def tell_download(request: Request) -> Response:
    """Tell how a download stands."""
    return answer(transfer_told(await _asked(request)))


async def send_download(request: Request) -> Response:
    """Send the bytes of a download, or those that Range asks for."""
    drive, one = drive_of(request), await _asked(request)
    moving("download", one.key)
    out = await downloads.content_of(drive, one, asker(request))
    return await send_file(drive, request, out, download=one)


async def resume_download(request: Request) -> Response:
    """Make ready to go on; the offset is what the client holds, if that is right, else what it was sent."""
    drive, one = drive_of(request), await _asked(request)
    sent = await small_body(request)
    out = await downloads.content_of(drive, one, asker(request))
    if sent.strip():
        held = decode_json(sent, Held)
        if held.offset > one.plan.size:
            raise InvalidParameter(f"the file has {one.plan.size:,} bytes", "offset")
        is_right = await _sha256(request, out, held.offset) == held.sha256.lower()
        one.sent, one.state = (held.offset if is_right else 0), "parked"
        one.error = None if is_right else "what was held is not what was sent; begin at 0"
        await downloads.note(drive, one)
    return answer(transfer_told(one))


async def _sha256(request: Request, out: Outgoing, stop: int) -> str:
    drive, taken = drive_of(request), hashlib.sha256()
    snapshot = await hold(drive, out.ino, asker(request).user)
    async for piece in read_pieces(drive, snapshot, 0, stop):
        taken.update(piece)
    return taken.hexdigest()


async def cancel_download(request: Request) -> Response:
    """Forget a download."""
    one = await _asked(request)
    await downloads.forget(drive_of(request), one.key)
    return Response(status_code=204)
