"""Files by their path: what a path leads to now, though others rename files over it all the time.

Rule: a path that leads to a file at every moment is never told to lead nowhere: who finds that the file went
away between two looks, looks again.
"""

from collections.abc import Awaitable, Callable
from errno import EEXIST, ENOENT, ESTALE
from typing import TypeVar

from trivet.drive.resources import FileView
from trivet.drive.rights import Principal, Verb
from trivet.errors import Conflict, FileSystemError, NotFound
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.volume.interface import ROOT_INO

TRIES = 50
GONE = {ENOENT, ESTALE}
Result = TypeVar("Result")


async def find_path(drive: Drive, names: list[str], who: Principal, verb: Verb = "r") -> FileView:
    """Return the file that `names` lead to from the root, by its names in the mount."""
    failure: Exception | None = None
    for _ in range(TRIES):
        ino = await _walk(drive, names)
        try:
            view = await nodes.look(drive, ino, who.user)
        except NotFound as error:
            failure = error
            continue
        except FileSystemError as error:
            if error.errno not in GONE:
                raise
            failure = error
            continue
        await nodes.check(drive, view, who, verb)
        return view
    raise nodes.not_found("/" + "/".join(names)) from failure


async def _walk(drive: Drive, names: list[str]) -> int:
    ino = ROOT_INO
    for name in names:
        try:
            found = await drive.volume.lookup(ino, name.encode())
        except FileSystemError as error:
            path = "/" + "/".join(names)
            drive.vendors.not_there(path)
            raise nodes.not_found(path) from error
        if not nodes.is_ours(found):
            raise nodes.not_found("/" + "/".join(names))
        ino = found.ino
    return ino


async def while_it_stands(work: Callable[[], Awaitable[Result]]) -> Result:
    """Return what `work` does with the file at a path; again when another file was renamed over it meanwhile.

    `work` finds the file anew each time. A name that is taken meanwhile (EEXIST) counts, too.
    """
    for _ in range(TRIES):
        try:
            return await work()
        except FileSystemError as error:
            if error.errno not in GONE | {EEXIST}:
                raise
    raise Conflict("other files are renamed over this one too fast; try again")
