"""The body of one download while it comes in: staged where nobody sees it, hashed as it is written.

Rule: what a process before has staged is read back, and the download goes on behind it.
"""

import hashlib
from errno import EEXIST

from trivet.errors import FileSystemError
from trivet.io.drive_api import VendorFile, VendorTrouble
from trivet.upstream.placing import unlink_quietly
from trivet.upstream.standing import PIECE_BYTES, Upstream
from trivet.upstream.transfers import Transfer, Transfers
from trivet.upstream.vendor import Unreachable
from trivet.volume.interface import AttributeChanges

SAFE_BYTES = 8 << 20
_PREFIX = "fetch-"


def key_of(name: bytes) -> str | None:
    """Return the key of the transfer whose body is staged under `name`, None for anything else."""
    text = name.decode(errors="replace")
    return text.removeprefix(_PREFIX) if text.startswith(_PREFIX) else None


class StagedBody:
    """`held` bytes of one transfer, whose digest is known; `moved` went over the wire in all."""

    def __init__(self, up: Upstream, transfers: Transfers, transfer: Transfer) -> None:
        self._up = up
        self._transfers = transfers
        self._transfer = transfer
        self._name = f"{_PREFIX}{transfer.key}".encode()
        self._handle: int | None = None
        self._digest = hashlib.md5(usedforsecurity=False)
        self._safe = 0
        self.ino = 0
        self.held = 0
        self.moved = transfer.moved

    async def fetch(self, file: VendorFile) -> None:
        """Fetch what is missing, going on where it broke off as long as there is progress."""
        await self._open()
        up, size = self._up, int(file.size)
        if self.held > size:
            await self.begin_anew()
        while self.held < size:
            before = self.held
            try:
                await up.vendor.call("download", lambda: self._stream(file), size_bytes=size - self.held)
            except Unreachable:
                await self.flush()
                if self.held == before:
                    raise
        await self.flush()

    async def _stream(self, file: VendorFile) -> None:
        async with self._up.vendor.api.download(file.id, self.held) as pieces:
            async for piece in pieces:
                self.moved += len(piece)
                self._transfers.count(self._transfer, len(piece))
                if self.held + len(piece) > int(file.size):
                    raise VendorTrouble("the vendor sends more bytes than the file has", status=None)
                await self.write(piece)
                if self.held - self._safe > SAFE_BYTES:
                    await self.flush()
        if self.held < int(file.size):
            raise VendorTrouble("the vendor ended the file early", status=None)

    async def write(self, piece: bytes) -> None:
        """Add a piece."""
        assert self._handle is not None
        await self._up.volume.write(self._handle, self.held, piece)
        self._digest.update(piece)
        self.held += len(piece)

    async def flush(self) -> None:
        """What is held is in the banks, and how much was moved in the list."""
        assert self._handle is not None
        await self._up.volume.flush(self._handle)
        self._safe = self.held
        await self._transfers.note(self._transfer, self.moved, self._up.now_s())

    def is_right(self, file: VendorFile) -> bool:
        """Tell whether what is held is the vendor's file."""
        wanted = file.md5_checksum
        return self.held == int(file.size) and wanted in (None, self._digest.hexdigest())

    async def begin_anew(self) -> None:
        """Throw away what is held."""
        await self._open()
        await self._up.volume.setattr(self.ino, AttributeChanges(size=0))
        self._digest, self.held, self._safe = hashlib.md5(usedforsecurity=False), 0, 0

    async def close(self) -> None:
        """Let go of the staged file; it stays where it is."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            await self._up.volume.release(handle)

    async def remove(self) -> None:
        """Let go of the staged file, and remove it."""
        await self.close()
        await unlink_quietly(self._up, self._up.staging_ino, self._name)
        self._digest, self.held, self._safe = hashlib.md5(usedforsecurity=False), 0, 0

    async def _open(self) -> None:
        """Open the staged file; what a process before has staged is read back for the digest."""
        if self._handle is not None:
            return
        volume, staging = self._up.volume, self._up.staging_ino
        try:
            made, self._handle = await volume.create(staging, self._name, 0o600, self._up.caller)
        except FileSystemError as error:
            if error.errno != EEXIST:
                raise
            made = await volume.lookup(staging, self._name)
            self._handle = await volume.open(made.ino, writing=True, truncate=False, sync=False)
        self.ino = made.ino
        while self.held < made.size:
            piece = await volume.read(self._handle, self.held, PIECE_BYTES)
            self._digest.update(piece)
            self.held += len(piece)
