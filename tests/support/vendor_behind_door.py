"""The whole HTTP door over a volume in memory with a vendor behind it: real requests, no other process."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import Scope
from trivet.io.control_socket import serve_control
from trivet.io.drive_api import DriveApi
from trivet.io.upstream_store import UpstreamStore
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream.account import Account
from trivet.upstream.service import Upstreams, handlers
from trivet.upstream.work import UpstreamWork, open_upstream
from trivet.volume.interface import Caller
from vendor_server import Vendor, VendorTransport


@dataclass
class VendorBehindDoor:
    """A door, the work for its vendor, and the vendor."""

    door: DoorInMemory
    work: UpstreamWork
    vendor: Vendor

    def client(self, user: str, scope: str = "/") -> httpx2.Client:
        """Return a client of a user, who is made."""
        self.door.people.users.add(user, None, scopes=(Scope(scope, "rw"),))
        token = self.door.people.tokens.create(user, Scope(scope, "rw"))[0]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx2.Client(base_url=self.door.url, headers=headers, timeout=60)

    def run(self, work: Any) -> Any:
        """Run a coroutine where the door lives."""
        return asyncio.run_coroutine_threadsafe(work, self.door.loop).result(60)


@contextlib.contextmanager
def vendor_behind_door(
    place: Path, vendor: Vendor, account: dict[str, Any] | None = None, **door: Any
) -> Iterator[VendorBehindDoor]:
    """Serve a door whose folder /google is the drive of `vendor`, once its files are listed."""
    with door_in_memory(place / "state", **door) as served:
        ready: list[UpstreamWork] = []
        task = asyncio.run_coroutine_threadsafe(
            _live(served, vendor, place / "state", account or {}, ready), served.loop
        )
        try:
            wait_for(lambda: task.done() or (bool(ready) and ready[0].polled_s is not None))
            if task.done():
                task.result()
            yield VendorBehindDoor(served, ready[0], vendor)
        finally:
            task.cancel()
            wait_for(task.done)


async def _live(
    door: DoorInMemory, vendor: Vendor, place: Path, settings: dict[str, Any], ready: list[UpstreamWork]
) -> None:
    folder = VolumeFolder(place)
    folder.upstream_path.mkdir(parents=True, exist_ok=True)
    account = Account(
        "google", "/google", "local", vendor.url, **({"poll_s": 0.2, "quiet_s": 0.2} | settings)
    )
    store = UpstreamStore(folder.upstream_path / "google.sqlite")
    api = DriveApi(account.url, transport=VendorTransport(vendor))
    volume = door.drive.volume
    try:
        work = await open_upstream(
            account, volume, store, api, caller=Caller(0, 0), now_s=time.time, rng=random.Random(1)
        )
        upstreams = Upstreams(volume)
        upstreams.works["google"] = work
        async with serve_control(folder.upstream_socket, handlers(upstreams)):
            ready.append(work)
            await work.run()
    finally:
        await api.close()
        store.close()


def wait_for(is_so: Callable[[], bool], within_s: float = 30.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.05)
