"""An upstream at work over a volume in memory and a vendor without sockets, in virtual time."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from memory_ports import MemoryBanks
from trivet.errors import FileSystemError
from trivet.io.drive_api import DriveApi
from trivet.io.queues.servers import Servers
from trivet.io.upstream_store import UpstreamStore
from trivet.upstream.account import Account
from trivet.upstream.shared_contents import SharedContents
from trivet.upstream.work import UpstreamWork, open_upstream
from trivet.volume.interface import ROOT_INO, Caller
from trivet.volume.private import make_private
from vendor_server import Vendor, VendorTransport
from virtual_time import VirtualTimeLoop

ME = Caller(0, 0)
#: A moment within a day: 2026-11-22, 10:00 UTC.
BEGAN_S = 1_795_341_600.0
AT, OTHER = "google", "other"


def in_virtual_time(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on a clock that jumps."""
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def virtual_now_s() -> float:
    """Return the Unix time of the running virtual loop."""
    return BEGAN_S + asyncio.get_running_loop().time()


class UpstreamRig:
    """A volume, a vendor and the work between them; `start` it, `stop` it, and start it again."""

    def __init__(
        self,
        place: Path,
        vendor: Vendor,
        account: dict[str, Any],
        seed: int,
        beside: "UpstreamRig | None" = None,
    ) -> None:
        self.vendor = vendor
        vendor.drive.now_s = virtual_now_s
        self.at = AT if beside is None else OTHER
        self.contents = SharedContents() if beside is None else beside.contents
        if beside is None:
            self.volume = MemoryBanks().fresh()
            make_private(self.volume.space, 0, 0, 1)
        else:
            self.volume = beside.volume
        self.account = Account(self.at, f"/{self.at}", "local", "http://vendor.test", **account)
        self.work: UpstreamWork
        self.failure: BaseException | None = None
        self._place = place / f"{self.at}.sqlite"
        self._rng = random.Random(seed)
        self._running: asyncio.Task[None] | None = None
        self._open = contextlib.ExitStack()

    async def start(self) -> None:
        """Begin to work."""
        self.store = UpstreamStore(self._place, direct=True)
        self._api = DriveApi(self.account.url, transport=VendorTransport(self.vendor))
        self.work = await open_upstream(
            self.account, self.volume, self.store, self._api,
            caller=ME, now_s=virtual_now_s, rng=self._rng, contents=self.contents, servers=Servers(),
        )  # fmt: skip
        self._running = asyncio.create_task(self.work.run())

    async def stop(self) -> None:
        """End the work, as SIGTERM does; what it fails with is raised."""
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait({self._running})
        await self.work.requests.close()
        await self._api.close()
        self.contents.upstreams.remove(self.work.up)
        self.store.close()
        if not self._running.cancelled():
            self._running.result()

    async def until(self, is_so: Callable[[], Awaitable[bool]], within_s: float = 600.0) -> None:
        """Wait until something is so."""
        assert self._running is not None
        async with asyncio.timeout(within_s):
            while not await is_so():
                await asyncio.sleep(0.5)
                if self._running.done():
                    self._running.result()

    async def settled(self, within_s: float = 600.0) -> None:
        """Wait until everything that happened on either side so far has reached the other."""
        assert self._running is not None
        await asyncio.sleep(self.account.quiet_s + 2.0)
        polled_s = virtual_now_s()

        async def is_so() -> bool:
            polled = self.work.polled_s is not None and self.work.polled_s > polled_s
            seen = int(await self.store.setting("slot") or -1) >= await self.volume.newest_slot()
            return polled and seen and not await self.work.outbox.count()

        await self.until(is_so, within_s)

    async def ino(self, path: str) -> int:
        """Return the inode at a path below the upstream's folder."""
        ino = ROOT_INO
        for name in [self.at, *path.split("/")]:
            if name:
                ino = (await self.volume.lookup(ino, name.encode())).ino
        return ino

    async def names(self, path: str = "") -> list[str]:
        """Return what is in a folder, sorted."""
        entries = await self.volume.listing(await self.ino(path), 0, 1000)
        return sorted(one.name.decode() for one in entries if one.name not in (b".", b".."))

    async def is_there(self, path: str) -> bool:
        """Tell whether there is something at a path."""
        try:
            await self.ino(path)
        except FileSystemError:
            return False
        return True

    async def read(self, path: str, user: str = "ann") -> bytes:
        """Return a file's bytes, fetched if need be."""
        ino = await self.ino(path)
        answer = await self.work.fetching.bring(ino, user, queue=True, wait_s=3600)
        assert answer["state"] == "here", answer
        snapshot = await self.volume.open_snapshot(ino)
        try:
            return bytes(await self.volume.read(snapshot.handle, 0, snapshot.attributes.size))
        finally:
            await self.volume.release(snapshot.handle)

    async def write(self, path: str, data: bytes) -> None:
        """Write a file, new or not."""
        folder, _, name = path.rpartition("/")
        parent = await self.ino(folder)
        try:
            found = await self.volume.lookup(parent, name.encode())
            handle = await self.volume.open(found.ino, writing=True, truncate=True, sync=False)
        except FileSystemError:
            _, handle = await self.volume.create(parent, name.encode(), 0o644, ME)
        await self.volume.write(handle, 0, data)
        await self.volume.flush(handle)
        await self.volume.release(handle)

    async def staged(self) -> list[bytes]:
        """Return what is staged for the vendor's sake."""
        entries = await self.volume.listing(self.work.up.staging_ino, 0, 1000)
        return [one.name for one in entries if one.name not in (b".", b"..")]

    @contextlib.asynccontextmanager
    async def second(self, vendor: Vendor, **account: Any) -> "AsyncIterator[UpstreamRig]":
        """Give another upstream of the same drive at work."""
        rig = UpstreamRig(self._place.parent, vendor, account, 1, self)
        await rig.start()
        try:
            yield rig
        finally:
            await rig.stop()

    async def notices(self) -> list[str]:
        """Return what people were told."""
        return [text for (text,) in await self.store.rows("SELECT text FROM notices")]


@contextlib.asynccontextmanager
async def upstream_rig(
    place: Path, vendor: Vendor | None = None, *, seed: int = 0, **account: Any
) -> AsyncIterator[UpstreamRig]:
    """Give an upstream at work; `account` are its settings."""
    rig = UpstreamRig(place, vendor or Vendor(seed=seed), account, seed)
    await rig.volume.start()
    await rig.start()
    try:
        yield rig
    finally:
        await rig.stop()
        await rig.volume.close()
