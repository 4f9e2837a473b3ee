"""A body on its way to the vendor: reserved, resumed where it broke off, compared with what arrived.

Rule: after an answer that was lost the session is asked how far it is; nothing is sent twice.
Rule: what is sent is one version of the file, held while it is sent.
"""

import asyncio
from typing import Any

from trivet.drive.resources import BINARY_MIME
from trivet.drive.timestamps import rfc3339
from trivet.errors import ContentAway, TrivetError, UpstreamError, VendorQuotaSpent
from trivet.io.drive_api import VendorFile, VendorTrouble
from trivet.upstream.outbox import Due, Outbox
from trivet.upstream.standing import Here, Row, Upstream
from trivet.upstream.transfers import State, Transfer, Transfers
from trivet.upstream.vendor import Unreachable

CHUNK_BYTES = 8 << 20
UPLOADS_AT_ONCE = 4
_GONE = (404, 410)
#: So many chunks in a row may fail, with pauses that grow, before the upload is parked.
_FAILURES_MAX, _PAUSE_S = 5, 1.0


class SessionGone(UpstreamError):
    """The vendor has forgotten an upload; it must begin anew."""


class Changed(ContentAway):
    """The file was changed while it was about to be sent."""


class Sending:
    """Sends bodies of `up`."""

    def __init__(self, up: Upstream, transfers: Transfers, outbox: Outbox) -> None:
        self._up = up
        self._transfers = transfers
        self._outbox = outbox
        self._places = asyncio.Semaphore(UPLOADS_AT_ONCE)

    async def finished(self, due: Due) -> VendorFile | None:
        """Return the file that the upload of `due` made, None if it is not whole, or raise SessionGone."""
        assert due.session is not None
        answer = await self._held(due.session)
        return answer if isinstance(answer, VendorFile) else None

    async def send(self, due: Due, row: Row, here: Here, *, new: bool) -> VendorFile:
        """Send the body of a file, as a new file or as new content; return what the vendor then has."""
        up = self._up
        transfer = await self._transfer(row, here, up.now_s())
        self._transfers.ask(transfer, up.now_s())
        try:
            await self._transfers.granted(transfer)
            async with self._places:
                await self._transfers.note(transfer, 0, up.now_s())
                sent = await self._body(due, row, here, transfer, new=new)
        except TrivetError as error:
            state: State = "parked" if isinstance(error, UpstreamError | VendorQuotaSpent) else "failed"
            await self._transfers.end(transfer, state, None, str(error), up.now_s())
            raise
        finally:
            self._transfers.let_go(transfer, up.now_s())
        await self._transfers.end(transfer, "done", transfer.size, None, up.now_s())
        return sent

    async def _body(self, due: Due, row: Row, here: Here, transfer: Transfer, *, new: bool) -> VendorFile:
        self._up.own_opens[here.attributes.ino] += 1
        snapshot = await self._up.volume.open_snapshot(here.attributes.ino)
        try:
            seen, wanted = snapshot.attributes, here.attributes
            if (seen.size, seen.mtime_ns) != (wanted.size, wanted.mtime_ns):
                raise Changed(f"{row.name} is being changed")
            known = due.session if due.md5 == here.side.md5 else None
            session = known or await self._begin(row, here, new=new)
            return await self._chunks(transfer, snapshot.handle, session, wanted.size, known is not None)
        finally:
            await self._up.volume.release(snapshot.handle)

    async def _transfer(self, row: Row, here: Here, now_s: float) -> Transfer:
        """Return the transfer that was parked for this file, or a new one."""
        size = here.attributes.size
        found = await self._transfers.listed(
            f"state IN ('parked', 'waiting', 'running') AND direction = 'upload' AND ino = {row.ino:d} "
            f"AND size = {size:d} ORDER BY seq",
            1,
        )
        if found:
            return found[0]
        owner = (await self._up.metadata(here.attributes.ino)).owner or self._up.user
        return await self._transfers.add(row.id, here.attributes.ino, owner, "upload", row.name, size, now_s)

    async def _begin(self, row: Row, here: Here, *, new: bool) -> str:
        up, size = self._up, here.attributes.size
        metadata: dict[str, Any] = {"modifiedTime": rfc3339(here.attributes.mtime_ns)}
        if new:
            metadata |= {"id": row.id, "name": here.side.name, "parents": [here.side.parent]}
        mime = (await up.metadata(here.attributes.ino)).mime_type or BINARY_MIME
        target = None if new else row.id
        session = await up.vendor.call(
            "update", lambda: up.vendor.api.begin_upload(target, metadata, mime, size)
        )
        await self._outbox.keep_session(row.id, session, here.side.md5)
        return session

    async def _chunks(
        self, transfer: Transfer, handle: int, session: str, size: int, resumed: bool
    ) -> VendorFile:
        up, offset, failures = self._up, 0, 0
        must_look = resumed
        while True:
            if must_look:
                answer = await self._held(session)
                must_look = False
            else:
                piece = await self._piece(handle, offset, min(CHUNK_BYTES, size - offset))
                try:
                    answer = await self._sent(session, piece, offset, size)
                except Unreachable:
                    failures += 1
                    if failures == _FAILURES_MAX:
                        raise
                    await asyncio.sleep(_PAUSE_S * failures)
                    must_look = True
                    continue
                failures = 0
                self._transfers.count(transfer, len(piece))
            if isinstance(answer, VendorFile):
                return answer
            offset = answer
            await self._transfers.note(transfer, offset, up.now_s())

    async def _piece(self, handle: int, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        while size > 0:
            part = await self._up.volume.read(handle, offset, size)
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    async def _sent(self, session: str, piece: bytes, offset: int, size: int) -> VendorFile | int:
        api = self._up.vendor.api
        try:
            return await self._up.vendor.call(
                "upload",
                lambda: api.send_chunk(session, piece, offset, size),
                size_bytes=len(piece),
                once=True,
            )
        except VendorTrouble as trouble:
            raise _named(trouble) from trouble

    async def _held(self, session: str) -> VendorFile | int:
        """Return how far an upload is, as the vendor says."""
        api = self._up.vendor.api
        try:
            return await self._up.vendor.call("upload", lambda: api.upload_state(session))
        except VendorTrouble as trouble:
            raise _named(trouble) from trouble


def _named(trouble: VendorTrouble) -> UpstreamError:
    return SessionGone("the vendor has forgotten this upload") if trouble.status in _GONE else trouble
