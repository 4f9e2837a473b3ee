"""What every method of Drive v3 does: who asks, which parameters, and JSON cut to the `fields` asked for."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.fields import Selection, check_known, parse_fields, select
from trivet.drive.resources import FILE_DEFAULT, FILE_FIELDS, FileView, file_json
from trivet.drive.rights import Principal, Verb
from trivet.errors import NotFound
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.reading import with_sums
from trivet.gateway.sessions import GOOGLE_HOST, principal_of

JSON_TYPE = "application/json; charset=UTF-8"
_SUMS = {"md5Checksum", "sha1Checksum", "sha256Checksum", "*"}


def drive_of(request: Request) -> Drive:
    """Return the drive that this worker serves."""
    drive: Drive = request.app.state.drive
    return drive


def asker(request: Request) -> Principal:
    """Return who asks; Unauthorized if nobody is logged in."""
    return principal_of(request.scope)


def link_root(request: Request) -> str:
    """Return the address that this server was asked under."""
    host = request.headers.get("host", "localhost")
    scheme = "https" if host == GOOGLE_HOST else request.url.scheme  # a proxy may have taken the TLS off
    return f"{scheme}://{host}"


def flag(request: Request, name: str, default: bool = False) -> bool:
    """Return the boolean parameter `name`; InvalidParameter if it is neither true nor false."""
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    if text.lower() not in {"true", "false"}:
        raise InvalidParameter(f"Invalid boolean value: '{text[:40]}'", name)
    return text.lower() == "true"


def selection_of(request: Request, default: Selection, known: frozenset[str]) -> Selection:
    """Return what `fields` selects, `default` if it is not sent; only `known` names may be at its top."""
    text = request.query_params.get("fields") or request.query_params.get("$fields")
    if not text:
        return default
    chosen = parse_fields(text)
    check_known(chosen, known, text)
    return chosen


def answer(selection: Selection, told: Any, status: int = 200) -> Response:
    """Return the JSON answer `told`, cut to `selection`."""
    body = msgspec.json.encode(select(selection, told))
    return Response(body, status, media_type=JSON_TYPE, headers={"Cache-Control": "no-cache, no-store"})


async def file_answer(request: Request, view: FileView, status: int = 200) -> Response:
    """Return the answer that tells of `view`."""
    chosen = selection_of(request, FILE_DEFAULT, FILE_FIELDS)
    told = await file_told(request, view, chosen)
    return answer(chosen, told, status)


async def file_told(request: Request, view: FileView, chosen: Selection) -> dict[str, Any]:
    """Return the File of `view`, with checksums if `chosen` asks for them."""
    if _SUMS & set(chosen):
        view = await with_sums(drive_of(request), view)
    return file_json(view, link_root(request))


async def asked_file(request: Request, verb: Verb = "r") -> FileView:
    """Return the file that the path of `request` names."""
    return await nodes.find(drive_of(request), request.path_params["file_id"], asker(request), verb)


def lock_of(request: Request) -> tuple[str, int | None]:
    """Return as whom and with which fencing token `request` changes files."""
    user, owner = asker(request).user, request.headers.get("x-trivet-owner", "")
    token = request.headers.get("x-trivet-lock", "")
    if token and not (token.isascii() and token.isdecimal() and len(token) < 19):
        raise InvalidParameter("X-Trivet-Lock is the number that the lock was given", "X-Trivet-Lock")
    return f"{user}/{owner[:100]}" if owner else user, int(token) if token else None


def expected_version(request: Request) -> int | None:
    """Return the version that If-Match names, None if any will do; NotFound if it can be none."""
    text = request.headers.get("if-match")
    if text is None or text.strip() == "*":
        return None
    number = text.strip().removeprefix("W/").strip('"')
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else -1


def refuse_drive_id(drive_id: str) -> None:
    """Raise NotFound: there are no shared drives."""
    raise NotFound(f"Shared drive not found: {drive_id[:80]}")
