"""What several upstreams of a process hold alike: the same bytes are fetched once, then copied here.

Rule: of those who want the same content one fetches it; the others wait and find it here.
Rule: a copy is believed for what its bytes are hashed to, not for what is told of it.
"""

import hashlib
from contextlib import AbstractAsyncContextManager, nullcontext

from trivet.errors import ContentAway, FileSystemError
from trivet.io.drive_api import VendorFile
from trivet.upstream.claims import Claims
from trivet.upstream.staged_body import StagedBody
from trivet.upstream.standing import PIECE_BYTES, Row, Upstream


class SharedContents:
    """The contents of all of `upstreams`, by checksum and size."""

    def __init__(self) -> None:
        self.upstreams: list[Upstream] = []
        self._fetching = Claims()

    def alone(self, file: VendorFile) -> AbstractAsyncContextManager[None]:
        """Be the only one who fetches the content of `file`."""
        if not file.md5_checksum:
            return nullcontext()
        return self._fetching.of((file.md5_checksum, int(file.size)))

    async def copied(self, file: VendorFile, body: StagedBody) -> bool:
        """Copy the body from a file that is here and has the same content; False if there is none."""
        for owner, twin in await self._twins(file):
            assert twin.ino is not None
            owner.own_opens[twin.ino] += 1
            digest = hashlib.sha256()
            try:
                snapshot = await owner.volume.open_snapshot(twin.ino)
            except (ContentAway, FileSystemError):
                continue  # it has just been given up, or removed
            try:
                await body.begin_anew()
                while body.held < min(snapshot.attributes.size, int(file.size)):
                    piece = await owner.volume.read(snapshot.handle, body.held, PIECE_BYTES)
                    digest.update(piece)
                    await body.write(piece)
            finally:
                await owner.volume.release(snapshot.handle)
            await body.flush()
            if body.is_right(file) and file.sha256_checksum in (None, digest.hexdigest()):
                return True
            await body.begin_anew()
        return False

    async def _twins(self, file: VendorFile) -> list[tuple[Upstream, Row]]:
        """Return the files that should have the content of `file`, and whose bodies are here."""
        found = []
        for up in self.upstreams:
            for row in await up.mirror.twins(file.md5_checksum or "", int(file.size)):
                here = await up.here(row.ino, row)
                if row.id != file.id and here is not None and not here.is_away:
                    found.append((up, row))
                    break
        return found
