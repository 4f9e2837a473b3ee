"""/api/v1/files, /folders, /search, /trash: what is there, and changing it."""

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from trivet.drive import ordering
from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_changes import FileChanges, checked
from trivet.drive.names import check_path
from trivet.drive.query import All, Comparison, Expression, Membership, parse_query
from trivet.drive.query_match import uses
from trivet.drive.resources import FOLDER_MIME, FileView
from trivet.drive.rights import Verb
from trivet.errors import PreconditionFailed, Unsupported
from trivet.gateway.files import changing, nodes, removal
from trivet.gateway.files.paths import find_path
from trivet.gateway.files.searching import Search, check_place, search
from trivet.gateway.native.operations import (
    IF_MATCH,
    LOCK,
    OWNER,
    PAGE,
    SIZE,
    Operation,
    Parameter,
    answer,
    asker,
    drive_of,
    json_body,
    lock_of,
)
from trivet.gateway.native.shapes import (
    Count,
    File,
    FileChange,
    FilePage,
    NewCopy,
    NewFolder,
    etag_of,
    file_of,
)

ORDER = Parameter("order", "query", "Keys such as folder,name_natural or modifiedTime desc.")
Q = Parameter("q", "query", "What to look for, in Drive's language: name contains 'x' and trashed = false.")


async def asked(request: Request, verb: Verb = "r") -> FileView:
    """Return the file that the path of `request` names."""
    return await nodes.find(drive_of(request), request.path_params["id"], asker(request), verb)


async def asked_to_change(request: Request) -> FileView:
    """Return the file to be changed, once its lock and its version are known to be right."""
    view = await asked(request, "w")
    drive_of(request).people.locks.check_write(view.ino, *lock_of(request))
    check_match(request, view.version)
    return view


def check_match(request: Request, version: int) -> None:
    """Raise PreconditionFailed unless If-Match names the present `version` (or is not sent)."""
    text = request.headers.get("if-match")
    if text is not None and text.strip() != "*":
        known = [part.strip() for part in text.split(",")]
        if etag_of(version) not in known:
            raise PreconditionFailed(f"the present version is {etag_of(version)}, not {text[:80]}")


def file_answer(view: FileView, status: int = 200) -> Response:
    """Return the answer that tells of `view`."""
    return answer(file_of(view), status, {"ETag": etag_of(view.version)})


async def get(request: Request) -> Response:
    """Tell of one file or folder."""
    return file_answer(await asked(request))


async def by_path(request: Request) -> Response:
    """Tell of the file at a path of the mount."""
    drive, who = drive_of(request), asker(request)
    return file_answer(await find_path(drive, check_path(request.path_params["path"]), who))


async def change(request: Request) -> Response:
    """Rename, move, describe, star."""
    view = await asked_to_change(request)
    wanted = await json_body(request, FileChange)
    changes = checked(
        FileChanges(
            name=wanted.name,
            description=wanted.description,
            starred=wanted.starred,
            properties=wanted.properties,
        )
    )
    parent = None if wanted.parent is UNSET else wanted.parent
    drive, who = drive_of(request), asker(request)
    if wanted.validate is not UNSET:
        if not view.is_folder:
            raise InvalidParameter("only folders say what is validated", "validate")
        await nodes.store_metadata(drive, view.ino, view.metadata.changed(validate=wanted.validate))
        view = await nodes.look(drive, view.ino, who.user)
    return file_answer(await changing.change(drive, who, view, changes, parent, []))


async def remove(request: Request) -> Response:
    """Put a file into the trash, or with forever=true remove it for good."""
    view = await asked_to_change(request)
    drive, who = drive_of(request), asker(request)
    if request.query_params.get("forever") == "true":
        await removal.remove(drive, view)
        return Response(status_code=204)
    await removal.trash(drive, view)
    return file_answer(await nodes.look(drive, view.ino, who.user))


async def restore(request: Request) -> Response:
    """Put a file of the trash back to where it was."""
    view = await asked(request, "w")
    drive, who = drive_of(request), asker(request)
    await removal.untrash(drive, view)
    return file_answer(await nodes.look(drive, view.ino, who.user))


async def copy(request: Request) -> Response:
    """Copy a file."""
    view = await asked(request)
    wanted = await json_body(request, NewCopy)
    parents = UNSET if wanted.parent is UNSET else [wanted.parent]
    changes = checked(FileChanges(name=wanted.name, parents=parents))
    return file_answer(await changing.copy(drive_of(request), asker(request), view, changes), 201)


async def make_folder(request: Request) -> Response:
    """Make a folder, or every missing folder of a path."""
    wanted = await json_body(request, NewFolder)
    drive, who = drive_of(request), asker(request)
    if wanted.path is not UNSET:
        return file_answer(await changing.make_folders(drive, who, check_path(wanted.path)), 201)
    if wanted.name is UNSET:
        raise InvalidParameter("a folder needs a name, or a path", "name")
    changes = checked(FileChanges(name=wanted.name, parents=[wanted.parent], mime_type=FOLDER_MIME))
    return file_answer(await changing.create_folder(drive, who, changes), 201)


async def children(request: Request) -> Response:
    """List a folder."""
    folder = await asked(request)
    if not folder.is_folder:
        raise InvalidParameter(f"{folder.name} is no folder", "id")
    tree = All((Membership(folder.file_id, "parents"), Comparison("trashed", "=", folder.trashed)))
    return await _page(request, tree)


async def find(request: Request) -> Response:
    """Search the whole drive."""
    tree = parse_query(request.query_params.get("q"))
    if uses(tree, "fullText"):
        raise Unsupported("fullText searches are not answered yet; search by name")
    return await _page(request, tree)


async def list_trash(request: Request) -> Response:
    """List what is in the trash."""
    return await _page(request, Comparison("trashed", "=", True))


async def _page(request: Request, tree: Expression) -> Response:
    drive, who, sent = drive_of(request), asker(request), request.query_params
    order = ordering.parse_order(sent.get("order"))
    size = ordering.parse_page_size(sent.get("page_size"))
    mark = ordering.question_mark(drive.secret, who.user, request.url.path, sent.get("q"), sent.get("order"))
    token = sent.get("page_token")
    after = check_place(ordering.read_token(token, mark) if token else None, order)
    found, place = await search(drive, Search(who, tree, order), after, size)
    more = None if place is None else ordering.write_token(mark, place)
    return answer(FilePage([file_of(view) for view in found], more))


async def empty_trash(request: Request) -> Response:
    """Remove for good what is in the trash."""
    return answer(Count(await removal.empty_trash(drive_of(request), asker(request))))


_CHANGE = (404, 412, 423)
_FOREVER = Parameter(
    "forever", "query", "true: past the trash.", {"type": "string", "enum": ["true", "false"]}
)
OPERATIONS = [
    Operation("GET", "/files/{id}", get, "Tell of a file or folder (id `root` is the root).", File,
              errors=(404,)),
    Operation("PATCH", "/files/{id}", change, "Rename, move, describe, star.", File, body=FileChange,
              parameters=(IF_MATCH, OWNER, LOCK), errors=_CHANGE),
    Operation("DELETE", "/files/{id}", remove, "Put into the trash, or remove for good.", File,
              parameters=(_FOREVER, IF_MATCH, OWNER, LOCK), errors=_CHANGE),
    Operation("POST", "/files/{id}/copy", copy, "Copy a file.", File, 201, body=NewCopy, errors=(404,)),
    Operation("GET", "/paths/{path}", by_path, "Tell of the file at a path of the mount.", File,
              errors=(404,)),
    Operation("POST", "/folders", make_folder, "Make a folder.", File, 201, body=NewFolder, errors=(404,)),
    Operation("GET", "/folders/{id}/children", children, "List a folder.", FilePage,
              parameters=(ORDER, PAGE, SIZE), errors=(404,)),
    Operation("GET", "/search", find, "Search the whole drive.", FilePage,
              parameters=(Q, ORDER, PAGE, SIZE), errors=(501,)),
    Operation("GET", "/trash", list_trash, "List the trash.", FilePage, parameters=(ORDER, PAGE, SIZE)),
    Operation("POST", "/trash/{id}/restore", restore, "Take a file out of the trash.", File, errors=(404,)),
    Operation("DELETE", "/trash", empty_trash, "Empty the trash.", Count),
]  # fmt: skip
