"""A keeper's volume door without its banks: a real socket, a real volume, banks in memory."""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from memory_ports import MemoryBanks
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.volume_door import VolumeDoor, open_door
from trivet.volume.private import make_private

BASES = [7000, 8000, 9000]


class HeardBlobs:
    """Remembers what is told of blobs."""

    bases: Collection[int] = BASES

    def __init__(self) -> None:
        self.stored: list[tuple[int, int]] = []
        self.came: list[tuple[int, int]] = []
        self.missing: list[tuple[int, int]] = []

    def blob_stored(self, name: int, base: int) -> None:
        """See BlobListener."""
        self.stored.append((name, base))

    def blob_came(self, name: int, base: int) -> None:
        """See BlobListener."""
        self.came.append((name, base))

    def blob_missing(self, name: int, base: int) -> None:
        """See BlobListener."""
        self.missing.append((name, base))


class ForgetfulKernel:
    """Remembers what it was told to forget."""

    def __init__(self) -> None:
        self.inodes: list[int] = []
        self.names: list[tuple[int, bytes]] = []

    async def forget(self, inodes: Collection[int], names: Collection[tuple[int, bytes]]) -> None:
        """See KernelCache."""
        self.inodes += inodes
        self.names += names

    async def cut_off(self) -> None:
        """See KernelCache."""


class DoorRig:
    """A door that can be closed and opened again, as a keeper that was killed and started again."""

    def __init__(self, place: Path, rng: random.Random | None = None) -> None:
        self.folder = VolumeFolder(place)
        self.folder.create(VolumeConfig("00" * 8, BASES, 1))
        self.folder.keeper_path.mkdir()
        self.banks = MemoryBanks(rng=rng)
        self.blobs = HeardBlobs()
        self.kernel = ForgetfulKernel()
        self.volume: LocalVolume
        self.epoch = 0
        self._open = AsyncExitStack()

    async def start(self) -> None:
        """Open the door of a keeper with the next epoch."""
        self.epoch += 1
        if self.epoch == 1:
            self.volume = self.banks.fresh()
            make_private(self.volume.space, 0, 0, 1)
        else:
            self.volume = self.banks.volume(self.banks.loaded()[0])
        await self.volume.start()
        key = self.folder.read_key()
        door = VolumeDoor(self.volume, self.epoch, key, self.blobs, self.kernel)  # type: ignore[arg-type]
        await self._open.enter_async_context(open_door(door, self.folder.volume_socket))

    async def stop(self) -> None:
        """Close the door and end the volume."""
        await self._open.aclose()
        await self.volume.close()


@asynccontextmanager
async def door_rig(place: Path, rng: random.Random | None = None) -> AsyncIterator[DoorRig]:
    """Give a door that is open; with `rng` its banks take their time."""
    rig = DoorRig(place, rng)
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()
