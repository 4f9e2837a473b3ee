"""RemoteVolume against plain bytes: writes of any size anywhere, by several writers, are read back right."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from door_rig import DoorRig, door_rig
from trivet.client.remote_volume import RemoteVolume, connected
from trivet.io.link import Body, LinkLost, Reply
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller, VersionedVolume
from trivet.wire.bank_messages import BlobData, GetBlob, PutBlob
from trivet.wire.blobs import piece_range, sub_hashes
from trivet.wire.journal_messages import BankMessage, Done

ME = Caller(0, 0)
EDGES = (0, 1, 4095, 4096, 8192, 65_535, 65_536, 65_537, 300_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1)


class RiggedServer:
    """One server of a bank whose blobs are those of the rig; now and then it fails or holds rubbish."""

    is_away = is_near = False

    def __init__(self, rig: DoorRig, base: int, rng: random.Random) -> None:
        self.base = base
        self._rig = rig
        self._rng = rng

    async def ask(self, message: BankMessage, body: Body = b"", *, timeout_s: float) -> Reply:
        """Answer as a bank does."""
        await asyncio.sleep(0)
        if self.base == 9000 and self._rng.random() < 0.2:
            raise LinkLost("it is away")
        if isinstance(message, PutBlob):
            self._rig.banks.blobs[message.name] = bytes(body)
            return Done(), b""
        assert isinstance(message, GetBlob)
        data = self._rig.banks.blobs.get(message.name)
        if data is None:
            return BlobData(False, 0, 0, b""), b""
        start, end = piece_range(len(data), message.offset, message.length)
        told = data[start:end]
        if self.base == 8000 and self._rng.random() < 0.2:
            told = bytes(len(told))
        return BlobData(True, len(data), start, sub_hashes(data)), told

    def give_up(self) -> None:
        """See BankServer."""


class RiggedPool:
    """Three banks of one such server."""

    def __init__(self, rig: DoorRig, rng: random.Random) -> None:
        self.banks = [[RiggedServer(rig, base, rng)] for base in rig.blobs.bases]
        self.majority = 2

    def servers_for(self, name: int, bank: int) -> Sequence[RiggedServer]:
        """See BankPool."""
        return self.banks[bank]

    async def look_for_new(self) -> bool:
        """See BankPool: nobody adds servers here."""
        return False


class Model:
    """One file, what it should hold, and everybody who writes it."""

    def __init__(self, ino: int, rng: random.Random) -> None:
        self.ino = ino
        self.rng = rng
        self.bytes = bytearray()

    async def step(self, volume: VersionedVolume, handle: int) -> None:
        """Do one thing and check it."""
        rng = self.rng
        kind = rng.choice(("write", "write", "write", "read", "read", "cut", "flush", "snapshot", "stream"))
        at = rng.choice(EDGES) if rng.random() < 0.5 else rng.randrange(2_500_000)
        size = rng.choice(EDGES) if rng.random() < 0.5 else rng.randrange(1, 400_000)
        if kind == "write":
            await self.write(volume, handle, at, size)
        elif kind == "stream":
            for _part in range(rng.randrange(1, 6)):
                await self.write(volume, handle, at, size)
                at += size
        elif kind == "read":
            assert await volume.read(handle, at, size) == self.bytes[at : at + size]
        elif kind == "cut":
            await volume.setattr(self.ino, AttributeChanges(size=at))
            del self.bytes[at:]
            self.bytes.extend(bytes(at - len(self.bytes)))
        elif kind == "flush":
            await volume.flush(handle)
        else:
            await volume.flush(handle)
            held = await volume.open_snapshot(self.ino)
            expected = bytes(self.bytes)
            await self.write(volume, handle, at, size)
            assert await volume.read(held.handle, 0, 1 << 24) == expected
            assert await volume.read(held.handle, at, size) == expected[at : at + size]
            await volume.release(held.handle)

    async def write(self, volume: VersionedVolume, handle: int, at: int, size: int) -> None:
        """Write bytes that tell themselves from others."""
        data = self.rng.randbytes(16) * (size // 16 + 1)
        data = data[:size]
        assert await volume.write(handle, at, data) == size
        if size:
            self.bytes.extend(bytes(max(at + size - len(self.bytes), 0)))
            self.bytes[at : at + size] = data


@pytest.mark.parametrize("seed", range(6))
async def test_what_is_written_anywhere_is_read_back(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    async with (
        door_rig(tmp_path / "state", rng) as rig,
        connected(rig.folder) as one,
        connected(rig.folder) as two,
    ):
        clients: list[RemoteVolume] = [one, two]
        for client in clients:
            client._transfer._pool = RiggedPool(rig, rng)  # type: ignore[assignment]
        made, handle = await one.create(ROOT_INO, b"f", 0o644, ME)
        everybody: list[tuple[VersionedVolume, int]] = [
            (one, handle),
            (two, await two.open(made.ino, writing=True, truncate=False, sync=False)),
            (rig.volume, await rig.volume.open(made.ino, writing=True, truncate=False, sync=False)),
        ]
        model = Model(made.ino, rng)
        for _turn in range(40):
            volume, handle = rng.choice(everybody)
            for _step in range(rng.randrange(1, 4)):
                await model.step(volume, handle)
            await volume.flush(handle)
        for volume, handle in everybody:
            assert await volume.read(handle, 0, 1 << 24) == model.bytes
            assert (await volume.getattr(made.ino)).size == len(model.bytes)
            await volume.release(handle)
        await rig.volume.fsyncdir(ROOT_INO)
        space, problems = rig.banks.loaded()
        assert problems == []
        again = rig.banks.copied().volume(space)
        handle = await again.open(made.ino, writing=False, truncate=False, sync=False)
        assert await again.read(handle, 0, 1 << 24) == model.bytes
