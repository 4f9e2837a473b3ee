"""What each call of the volume protocol does on the keeper's volume, on behalf of one client.

Rule: a handle is good only for the client that opened it, a blob name only for the one it was lent to.
"""

from collections.abc import Awaitable, Callable, Collection
from errno import EINVAL
from typing import Any, Protocol

import msgspec

from trivet.errors import FileSystemError
from trivet.io.link import Body
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.volume_session import VolumeSession
from trivet.volume import body_calls as body
from trivet.volume import name_calls as name
from trivet.volume.attributes import PAGE_BYTES, PAGES_PER_MIB
from trivet.volume.calls import AnyCall
from trivet.volume.interface import Attributes
from trivet.wire.blobs import HASH_BYTES

Operation = Callable[[Any], Awaitable[object]]


class BlobListener(Protocol):
    """Who hears what clients say of blobs."""

    bases: Collection[int]

    def blob_stored(self, name: int, base: int) -> None:
        """The bank at `base` has the blob `name`, which is named now."""

    def blob_came(self, name: int, base: int) -> None:
        """The bank at `base` has the blob `name`, too, which was named before, or is not any more."""

    def blob_missing(self, name: int, base: int) -> None:
        """The bank at `base` lacks a good copy of the blob `name`."""


def operations(volume: LocalVolume, session: VolumeSession) -> dict[type, Operation]:
    """Return what to do with each call on names and attributes; the argument is the call."""
    return {
        name.Lookup: lambda c: volume.lookup(c.parent, c.name),
        name.GetAttr: lambda c: volume.getattr(c.ino),
        name.SetAttr: lambda c: volume.setattr(c.ino, c.to),
        name.ReadLink: lambda c: volume.readlink(c.ino),
        name.OpenDir: lambda c: volume.opendir(c.ino),
        name.Listing: lambda c: volume.listing(c.ino, c.after_cookie, c.limit),
        name.MkDir: lambda c: volume.mkdir(c.parent, c.name, c.mode, c.caller),
        name.MkNod: lambda c: volume.mknod(c.parent, c.name, c.mode, c.rdev, c.caller),
        name.SymLink: lambda c: volume.symlink(c.parent, c.name, c.target, c.caller),
        name.Link: lambda c: volume.link(c.ino, c.parent, c.name),
        name.Unlink: lambda c: volume.unlink(c.parent, c.name),
        name.RmDir: lambda c: volume.rmdir(c.parent, c.name),
        name.Rename: lambda c: volume.rename(
            c.parent, c.name, c.new_parent, c.new_name, replace=c.replace, exchange=c.exchange
        ),
        name.FSyncDir: lambda c: volume.fsyncdir(c.ino),
        name.GetXattr: lambda c: volume.getxattr(c.ino, c.name),
        name.SetXattr: lambda c: volume.setxattr(c.ino, c.name, c.value, create=c.create, replace=c.replace),
        name.ListXattr: lambda c: volume.listxattr(c.ino),
        name.RemoveXattr: lambda c: volume.removexattr(c.ino, c.name),
        name.StatFs: lambda c: volume.statfs(),
        name.NamesOf: lambda c: volume.names_of(c.ino),
        name.Version: lambda c: volume.version(c.ino),
        name.Describe: lambda c: volume.describe(c.ino, c.xattr),
        name.DescribedListing: lambda c: volume.described_listing(
            c.ino, c.after_cookie, c.limit, c.xattr, with_versions=c.with_versions
        ),
        name.TakeUses: lambda c: volume.take_uses(),
        name.NewestSlot: lambda c: volume.newest_slot(),
        name.Changes: lambda c: volume.changes(c.after_slot, c.limit),
        name.WaitChanged: lambda c: volume.wait_changed(c.after_slot, c.timeout_s),
        body.Flush: lambda c: volume.flush(session.handle(c.handle)),
        body.FSync: lambda c: volume.fsync(session.handle(c.handle)),
        body.Release: lambda c: session.release(c.handle),
        body.PlanRead: lambda c: volume.outside.plan(session.file(c.handle), c.offset, c.size),
        body.Publish: lambda c: volume.publish(c.staged, c.target, c.expected_version, unwritten=c.unwritten),
    }


class ClientCalls:
    """Carries out the calls of one client."""

    def __init__(self, volume: LocalVolume, session: VolumeSession, blobs: BlobListener) -> None:
        self._volume = volume
        self._session = session
        self._blobs = blobs
        self._operations = operations(volume, session)

    async def do(self, call: AnyCall, data: Body) -> tuple[object, Body]:
        """Carry out `call`; return (result, what was read)."""
        volume, session = self._volume, self._session
        match call:
            case body.Read():
                return None, await volume.read(session.handle(call.handle), call.offset, call.size)
            case body.Write():
                return await volume.write(session.handle(call.handle), call.offset, bytes(data)), b""
            case body.Create():
                session.check_room()
                made, handle = await volume.create(call.parent, call.name, call.mode, call.caller)
                return (made, session.opened(handle)), b""
            case body.Open():
                session.check_room()
                handle = await volume.open(
                    call.ino, writing=call.writing, truncate=call.truncate, sync=call.sync
                )
                return session.opened(handle), b""
            case body.OpenSnapshot():
                session.check_room()
                return await self._open_snapshot(call.ino), b""
            case body.TakeNames():
                return session.lend(call.count), b""
            case body.PutBlobs():
                await self._put_blobs(call)
                return None, b""
            case body.BlobsStored() | body.BadCopies():
                self._tell(call)
                return None, b""
            case _:
                return await self._operations[type(call)](call), b""

    async def repeat(self, call: AnyCall, answer: bytes) -> object:
        """Return what a `call` is told that was carried out before: `answer`, with handles good now."""
        volume, session = self._volume, self._session
        await volume.settled()
        match call:
            case body.Create():
                session.check_room()
                made = msgspec.msgpack.decode(answer, type=Attributes)
                handle = await volume.open(made.ino, writing=True, truncate=False, sync=False)
                return made, session.opened(handle)
            case body.Open():
                session.check_room()
                handle = await volume.open(call.ino, writing=call.writing, truncate=False, sync=call.sync)
                return session.opened(handle)
            case body.Publish():
                return await volume.published_version(call.staged, call.target)
            case _:
                return msgspec.Raw(answer)

    async def _open_snapshot(self, ino: int) -> body.HeldBody:
        snapshot = await self._volume.open_snapshot(ino)
        file = self._session.file(self._session.opened(snapshot.handle))
        return body.HeldBody(snapshot, await self._volume.outside.plan(file, 0, body.PLAN_MAX_BYTES))

    async def _put_blobs(self, call: body.PutBlobs) -> None:
        file = self._session.file(call.handle)
        names = [part.blob.name for part in call.parts]
        self._session.take_back(names)
        done = False
        try:
            self._check(call)
            await self._volume.outside.put(file, call.parts, self._blobs.blob_stored)
            done = True
        finally:
            if not done:
                self._volume.outside.free(names)

    def _check(self, call: body.PutBlobs) -> None:
        for part in call.parts:
            room = (PAGES_PER_MIB - part.page) * PAGE_BYTES
            if not 0 < part.blob.size <= room or len(part.blob.root) != HASH_BYTES:
                raise FileSystemError(EINVAL, "a blob does not fit where it is put")
            if len(set(part.bases).intersection(self._blobs.bases)) <= len(self._blobs.bases) // 2:
                raise FileSystemError(EINVAL, "fewer than two banks have a blob")

    def _tell(self, call: body.BlobsStored | body.BadCopies) -> None:
        well = isinstance(call, body.BlobsStored) and call.well
        for one in call.names:
            if well:
                self._blobs.blob_came(one, call.base)
            else:
                self._blobs.blob_missing(one, call.base)
