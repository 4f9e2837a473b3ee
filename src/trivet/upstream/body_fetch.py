"""One body on its way from the vendor into the volume: staged, compared, published in one step.

Rule: nobody sees a part of a body: it is staged, compared with the vendor's checksum, and exchanged.
Rule: a body whose very content is in the volume already is copied from there.
"""

from trivet.errors import Conflict, NotFound, UpstreamError
from trivet.io.drive_api import VendorFile, VendorTrouble
from trivet.upstream.cached_bodies import CachedBodies
from trivet.upstream.outbox import Outbox
from trivet.upstream.placing import describe, modified_ns
from trivet.upstream.shared_contents import SharedContents
from trivet.upstream.staged_body import StagedBody
from trivet.upstream.standing import Upstream
from trivet.upstream.transfers import Transfer, Transfers
from trivet.volume.interface import AttributeChanges

_TRIES = 3


class BodyFetch:
    """Brings bodies of `up` here, once each, for transfers that have their bytes reserved."""

    def __init__(
        self,
        up: Upstream,
        transfers: Transfers,
        outbox: Outbox,
        contents: SharedContents,
        bodies: CachedBodies,
    ) -> None:
        self._up = up
        self._bodies = bodies
        self._transfers = transfers
        self._outbox = outbox
        self._contents = contents

    async def fetch(self, transfer: Transfer, body: StagedBody) -> None:
        """Return when the body is in its file; what is staged stays when it can't be."""
        file = await self._asked(transfer.id)
        if await self._is_here(transfer, file):  # the process ended between this body and its row
            await body.remove()
            return
        async with self._contents.alone(file):
            file = await self._verified(transfer, file, body)
            await self._publish(transfer, file, body)

    async def _is_here(self, transfer: Transfer, file: VendorFile) -> bool:
        """Tell whether the file has the vendor's newest body, as both sides have agreed."""
        up = self._up
        row = await up.mirror.by_id(transfer.id)
        if row is None or row.md5 != file.md5_checksum or await up.away_id(transfer.ino) is not None:
            return False
        attributes = await up.volume.getattr(transfer.ino)
        return (row.size, row.mtime_ns) == (attributes.size, attributes.mtime_ns)

    async def _verified(self, transfer: Transfer, file: VendorFile, body: StagedBody) -> VendorFile:
        """Return the vendor's file once the staged body is that file; a wrong one is fetched once more."""
        for _ in range(2):
            if file.md5_checksum and await self._contents.copied(file, body):
                return file
            if int(file.size) > transfer.size:
                self._transfers.renew(transfer, int(file.size) - body.held, self._up.now_s())
                await self._transfers.granted(transfer)
            await body.fetch(file)
            if body.is_right(file):
                return file
            await body.remove()
            file = await self._asked(transfer.id)
            self._transfers.renew(transfer, int(file.size), self._up.now_s())
            await self._transfers.granted(transfer)
        raise UpstreamError(
            f"corrupt_upstream: {file.name} came twice with other bytes than its checksum says"
        )

    async def _asked(self, file_id: str) -> VendorFile:
        try:
            return await self._up.vendor.call("get", lambda: self._up.vendor.api.get(file_id))
        except VendorTrouble as trouble:
            if trouble.status == 404:
                raise NotFound(f"the vendor does not have this file any more ({trouble})") from trouble
            raise

    async def _publish(self, transfer: Transfer, file: VendorFile, body: StagedBody) -> None:
        up = self._up
        mtime_ns = modified_ns(file)
        await up.volume.setattr(body.ino, AttributeChanges(mtime_ns=mtime_ns))
        for _ in range(_TRIES):
            async with up.claim(transfer.id):
                row = await up.mirror.by_id(transfer.id)
                version = await up.volume.version(transfer.ino)
                attributes = await up.volume.getattr(transfer.ino)
                as_agreed = row is not None and (row.size, row.mtime_ns) == (
                    attributes.size,
                    attributes.mtime_ns,
                )
                if await up.away_id(transfer.ino) != transfer.id and not as_agreed:
                    break  # it was changed here meanwhile: the outbox settles that
                try:
                    await up.volume.publish(body.ino, transfer.ino, version)
                except Conflict:
                    continue
                if row is not None:
                    await describe(up, transfer.ino, file, row.name, row.mount_name)
                    changed = row.changed(md5=file.md5_checksum or "", size=int(file.size), mtime_ns=mtime_ns)
                    await up.mirror.put(changed)
            break
        await body.remove()
        await self._bodies.look(transfer.ino, await up.look(transfer.ino))
        if await self._outbox.has(transfer.id):
            await self._outbox.add(transfer.id, up.now_s(), up.now_s())
            up.wake.set()
