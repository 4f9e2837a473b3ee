"""/api/v1/files/{id}/locks: locks with fencing tokens; they hold for both faces."""

from starlette.requests import Request
from starlette.responses import Response

from trivet.gateway.files.nodes import find_ino
from trivet.gateway.native.files import asked
from trivet.gateway.native.operations import (
    Operation,
    Parameter,
    answer,
    asker,
    drive_of,
    json_body,
    lock_owner,
)
from trivet.gateway.native.operations import number as whole_number
from trivet.gateway.native.shapes import Locks, LockTold, NewLock, lock_told


async def held(request: Request) -> Response:
    """List the locks on a file."""
    view = await asked(request)
    return answer(Locks([lock_told(one) for one in drive_of(request).people.locks.held(view.ino)]))


async def acquire(request: Request) -> Response:
    """Lock a file, or renew the lock."""
    view = await asked(request, "w")
    wanted = await json_body(request, NewLock)
    owner = lock_owner(asker(request), wanted.owner)
    lock = await drive_of(request).people.locks.acquire(view.ino, owner, wanted.mode, wanted.ttl_s)
    return answer(lock_told(lock), 201)


async def release(request: Request) -> Response:
    """Let a lock go; also one on a file that is not there any more."""
    who, drive = asker(request), drive_of(request)
    ino = await find_ino(drive, request.path_params["id"])
    token = whole_number(request, "token", 0, 1, 1 << 53)
    owner = lock_owner(who, request.query_params.get("owner", ""))
    await drive.people.locks.release(ino, owner, token)
    return Response(status_code=204)


_TOKEN = Parameter("token", "query", "The lock's token.", {"type": "integer", "minimum": 1})
_OWNER = Parameter("owner", "query", "As whom it was taken.")
OPERATIONS = [
    Operation("GET", "/files/{id}/locks", held, "List the locks on a file.", Locks, errors=(404,)),
    Operation("POST", "/files/{id}/locks", acquire, "Lock a file.", LockTold, 201, body=NewLock,
              errors=(404, 423)),
    Operation("DELETE", "/files/{id}/locks", release, "Let a lock go.", status=204,
              parameters=(_TOKEN, _OWNER), errors=(404,)),
]  # fmt: skip
