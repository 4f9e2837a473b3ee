"""Translates between the kernel's words and the volume's: attributes, changes, callers, errors.

Rule: this is the mount's one translating `except`; a bug (AssertionError) passes through, the process ends.
Rule: numbers of files are never used again, so the generation is always 0.
"""

from collections.abc import Callable, Coroutine
from errno import ENOENT, ESTALE
from functools import wraps
from stat import S_ISDIR
from typing import Any, ParamSpec, Protocol, TypeVar

import pyfuse3

from trivet.errors import FileSystemError, NoMajority, OutcomeUnknown, ReplicaError, TrivetError
from trivet.mount.event_loop import in_flight
from trivet.mount.forgetting import ForgetSoon
from trivet.volume.interface import (
    UNTIL_TOLD,
    AttributeChanges,
    Attributes,
    Caller,
    KernelKeeps,
    VolumeSpace,
)

BLOCK_BYTES = 4096
_SECTOR_BYTES = 512

#: Changes that failed so may be done all the same, now or later.
_UNDECIDED = (NoMajority, ReplicaError, OutcomeUnknown)

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def translated(
    operation: Callable[Arguments, Coroutine[Any, Any, Answer]],
) -> Callable[Arguments, Coroutine[Any, Any, Answer]]:
    """Make `operation` answer the kernel with an errno where it raises a TrivetError."""

    @wraps(operation)
    async def answer(*arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
        in_flight.count += 1
        try:
            return await operation(*arguments, **named)
        except TrivetError as error:
            raise pyfuse3.FUSEError(error.errno) from None
        finally:
            in_flight.ended()

    return answer


def by_number(
    operation: Callable[Arguments, Coroutine[Any, Any, Answer]],
) -> Callable[Arguments, Coroutine[Any, Any, Answer]]:
    """Make `operation` on a file the kernel knows answer ESTALE when that is gone: ask for the name again.

    A program that opens a path over which another file is renamed at that moment then gets one of the two.
    """

    @wraps(operation)
    async def answer(*arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
        try:
            return await operation(*arguments, **named)
        except FileSystemError as error:
            if error.errno != ENOENT:
                raise
            raise FileSystemError(ESTALE) from None

    return translated(answer)


class Forgetful(Protocol):
    """Operations that can have the kernel forget something soon."""

    forget_soon: ForgetSoon


def changing(
    *places: tuple[int] | tuple[int, int], numbered: bool = False
) -> Callable[[Callable[..., Coroutine[Any, Any, Answer]]], Callable[..., Coroutine[Any, Any, Answer]]]:
    """Make a change whose failure decides nothing leave the kernel no older state: it must ask again.

    `places` say where among the operation's arguments the numbers, or parents and names, of it stand; it is
    `numbered` if it changes a file the kernel knows.
    """

    def made(
        operation: Callable[..., Coroutine[Any, Any, Answer]],
    ) -> Callable[..., Coroutine[Any, Any, Answer]]:
        @wraps(operation)
        async def answer(self: Forgetful, *arguments: Any) -> Answer:
            try:
                return await operation(self, *arguments)
            except _UNDECIDED:
                names = [(arguments[place[0]], arguments[place[1]]) for place in places if len(place) == 2]
                self.forget_soon([arguments[place[0]] for place in places], names)
                raise

        return by_number(answer) if numbered else translated(answer)

    return made


def entry_of(
    attributes: Attributes, number: int, keeps: KernelKeeps, held_bytes: int = 0
) -> pyfuse3.EntryAttributes:
    """Return `attributes` of the file `number`, of which `held_bytes` are stored, in the kernel's form."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = pyfuse3.InodeT(number)
    entry.st_mode = pyfuse3.ModeT(attributes.mode)
    entry.st_nlink = attributes.nlink
    entry.st_uid = attributes.uid
    entry.st_gid = attributes.gid
    entry.st_rdev = attributes.rdev
    entry.st_size = attributes.size
    entry.st_blksize = BLOCK_BYTES
    entry.st_blocks = -(-held_bytes // _SECTOR_BYTES)
    entry.st_atime_ns = attributes.atime_ns
    entry.st_mtime_ns = attributes.mtime_ns
    entry.st_ctime_ns = attributes.ctime_ns
    entry.entry_timeout = keeps.folder_s if S_ISDIR(attributes.mode) else keeps.file_s
    entry.attr_timeout = keeps.attributes_s
    return entry


def nothing_there(error: FileSystemError, keeps: KernelKeeps) -> pyfuse3.EntryAttributes:
    """Return the answer that a name does not exist, or raise `error` if it says something else.

    The kernel may remember it; who makes the name elsewhere has it forgotten (`KernelCache`).
    """
    if error.errno != ENOENT:
        raise error
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = pyfuse3.InodeT(0)
    entry.entry_timeout = keeps.nothing_s
    return entry


def dot_of(ino: int) -> pyfuse3.EntryAttributes:
    """Return attributes for "." and "..": the kernel takes only number and type from a listing's dots."""
    return entry_of(Attributes(ino, 0o040755, 2, 0, 0, 0, 0, 0, 0, 0), ino, UNTIL_TOLD)


def file_info(handle: int, *, keeps_pages: bool = True) -> pyfuse3.FileInfo:
    """Return the answer to who opens a file; the kernel lets go of its pages unless it `keeps_pages`.

    They stay true where who changes the content of a number has its pages forgotten (`KernelKeeps`).
    """
    return pyfuse3.FileInfo(fh=pyfuse3.FileHandleT(handle), keep_cache=keeps_pages)


def changes_of(asked: pyfuse3.EntryAttributes, fields: pyfuse3.SetattrFields) -> AttributeChanges:
    """Return what a SETATTR asks for: those of the `asked` attributes that `fields` names."""
    return AttributeChanges(
        mode=asked.st_mode if fields.update_mode else None,
        uid=asked.st_uid if fields.update_uid else None,
        gid=asked.st_gid if fields.update_gid else None,
        size=asked.st_size if fields.update_size else None,
        atime_ns=asked.st_atime_ns if fields.update_atime else None,
        mtime_ns=asked.st_mtime_ns if fields.update_mtime else None,
    )


def caller_of(context: pyfuse3.RequestContext) -> Caller:
    """Return who asks."""
    return Caller(context.uid, context.gid, context.umask)


def statvfs_of(space: VolumeSpace, name_max_bytes: int) -> pyfuse3.StatvfsData:
    """Return `space` in the kernel's form, in blocks of BLOCK_BYTES."""
    data = pyfuse3.StatvfsData()
    data.f_bsize = data.f_frsize = BLOCK_BYTES
    data.f_blocks = space.total_bytes // BLOCK_BYTES
    data.f_bfree = data.f_bavail = space.free_bytes // BLOCK_BYTES
    data.f_ffree = data.f_favail = data.f_bfree
    data.f_files = space.files + data.f_ffree
    data.f_namemax = name_max_bytes
    return data
