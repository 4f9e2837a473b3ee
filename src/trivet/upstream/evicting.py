"""Bodies given up again for the sake of room: what is at the vendor, byte for byte, becomes away.

Rule: nothing goes but what the vendor had when both sides last agreed: the bytes are hashed, and the very
version that was hashed is exchanged for a placeholder, or nothing is.
Rule: a file that somebody writes to, that is not settled, or that is on its way stays; a write that comes in
between wins.
Rule: killed at any moment, the body is here or away; what was staged is removed at the next start.
"""

import hashlib
import secrets
from errno import ENOENT, ESTALE

from trivet.drive.file_metadata import ATTRIBUTE, Content, Sums
from trivet.errors import Conflict, ContentAway, FileSystemError
from trivet.upstream.fetching import Fetching
from trivet.upstream.outbox import Outbox
from trivet.upstream.placing import FILE_MODE, unlink_quietly
from trivet.upstream.standing import PIECE_BYTES, Row, Upstream
from trivet.volume.interface import AWAY, AttributeChanges, Attributes

_TRIES = 2
#: Not a reason: the file was described meanwhile, and is another version now.
_AGAIN = "again"
_NOT_THERE = "it is not at the vendor as it is here"


class Evicting:
    """Gives up bodies of `up`."""

    def __init__(self, up: Upstream, outbox: Outbox, fetching: Fetching) -> None:
        self._up = up
        self._outbox = outbox
        self._fetching = fetching
        self._prefix = f"evict.{up.name}."

    async def begin(self) -> None:
        """Remove what a process before has staged."""
        up = self._up
        entries = await up.volume.listing(up.staging_ino, 0, 10_000)
        for entry in entries:
            if entry.name.startswith(self._prefix.encode()):
                await unlink_quietly(up, up.staging_ino, entry.name)

    async def evict(self, ino: int) -> str | None:
        """Let the body of `ino` be at the vendor only; return why it stays, None if it went."""
        row = await self._up.mirror.by_ino(ino)
        if row is None:
            return _NOT_THERE
        async with self._up.claim(row.id):
            try:
                for _ in range(_TRIES):
                    why = await self._try(ino, row.id)
                    if why is not _AGAIN:
                        return why
            except ContentAway:
                return None
            except FileSystemError as error:
                if error.errno not in {ENOENT, ESTALE}:
                    raise
                return "it is gone"
        return "it was described anew meanwhile"

    async def _try(self, ino: int, file_id: str) -> str | None:
        up = self._up
        row = await up.mirror.by_id(file_id)
        if row is None or row.ino != ino or not row.agreed or not row.md5:
            return _NOT_THERE
        if await self._outbox.has(file_id):
            return "it is not settled with the vendor yet"
        if self._fetching.is_coming(file_id):
            return "a newer version of it is on its way"
        if await up.look(ino) is None:
            return "it has left the folder of the vendor"
        up.own_opens[ino] += 1
        snapshot = await up.volume.open_snapshot(ino)
        try:
            sums = await self._sums(snapshot.handle, snapshot.attributes.size)
        finally:
            await up.volume.release(snapshot.handle)
        if not self._is_agreed(row, snapshot.attributes, sums):
            return _NOT_THERE
        if await self._described(ino, snapshot.attributes, sums):
            return _AGAIN
        return await self._exchange(row, ino, snapshot.attributes, snapshot.version)

    def _is_agreed(self, row: Row, attributes: Attributes, sums: Sums) -> bool:
        same = (row.size, row.mtime_ns) == (attributes.size, attributes.mtime_ns)
        return same and sums.md5 == row.md5

    async def _sums(self, handle: int, size: int) -> Sums:
        digests = [hashlib.new(name, usedforsecurity=False) for name in ("md5", "sha1", "sha256")]
        at = 0
        while at < size:
            piece = await self._up.volume.read(handle, at, PIECE_BYTES)
            for digest in digests:
                digest.update(piece)
            at += len(piece)
        return Sums(*(digest.hexdigest() for digest in digests))

    async def _described(self, ino: int, attributes: Attributes, sums: Sums) -> bool:
        """See that the checksums are told also while the body is away; True if they were not known."""
        size, mtime_ns = attributes.size, attributes.mtime_ns
        metadata = await self._up.metadata(ino)
        if metadata.sums_of(size, mtime_ns) is not None:
            return False
        content = Content(metadata.revision_of(size, mtime_ns), size, mtime_ns, sums)
        value = metadata.changed(content=content).encoded()
        await self._up.volume.setxattr(ino, ATTRIBUTE, value, create=False, replace=False)
        return True

    async def _exchange(self, row: Row, ino: int, attributes: Attributes, version: int) -> str | None:
        up, name = self._up, f"{self._prefix}{secrets.token_hex(12)}".encode()
        made, handle = await up.volume.create(up.staging_ino, name, FILE_MODE, up.caller)
        try:
            await up.volume.release(handle)
            await up.volume.setattr(made.ino, AttributeChanges(size=attributes.size))
            await up.volume.setxattr(made.ino, AWAY, up.mark(row.id), create=False, replace=False)
            await up.volume.setattr(made.ino, AttributeChanges(mtime_ns=attributes.mtime_ns))
            await up.volume.publish(made.ino, ino, version, unwritten=True)
        except Conflict:
            return "somebody writes to it"
        finally:
            await unlink_quietly(up, up.staging_ino, name)
        return None
