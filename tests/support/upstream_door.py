"""The whole HTTP door over a volume in memory, with a vendor on a real port behind a folder of it."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import EVERYTHING, Scope
from trivet.drive.usage_limits import DoorLimits
from trivet.gateway.files.drive import NO_LIMITS
from trivet.io.clock import wall_s
from trivet.io.control_socket import serve_control
from trivet.io.drive_api import DriveApi
from trivet.io.queues.servers import Servers
from trivet.io.upstream_store import UpstreamStore
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream.account import Account, keep_account, store_path
from trivet.upstream.service import CONNECTIONS, Upstreams, handlers, share_uses
from trivet.upstream.work import UpstreamWork, open_upstream
from trivet.volume.interface import Caller
from vendor_server import Vendor, serving

ME = Caller(0, 0)


@dataclass
class DoorBeforeVendor:
    """A door, the vendor behind it, and the work between them, on the door's loop."""

    door: DoorInMemory
    vendor: Vendor
    work: UpstreamWork
    folder: VolumeFolder

    def token(self, user: str, scope: Scope = EVERYTHING) -> str:
        """Make a user who may do what `scope` says; return a token of theirs."""
        self.door.people.users.add(user, None, scopes=(scope,))
        text, _ = self.door.people.tokens.create(user, EVERYTHING)
        return text

    def client(self, user: str, scope: Scope = EVERYTHING) -> httpx.Client:
        """Return a client of a new user."""
        headers = {"Authorization": f"Bearer {self.token(user, scope)}"}
        return httpx.Client(base_url=self.door.url, headers=headers, timeout=60)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` on the door's loop; return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.door.loop).result(60)

    def until(self, is_so: Callable[[], bool], within_s: float = 90.0) -> None:
        """Wait until something is so."""
        end_s = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < end_s, "it never came to be"
            time.sleep(0.02)

    def settle(self) -> None:
        """Wait until the vendor has been asked once more, and the door knows what the upstream knows."""
        polled_s = self.work.polled_s or 0.0
        self.until(lambda: (self.work.polled_s or 0.0) > polled_s)
        vendors = self.door.drive.vendors
        self.until(lambda: (vendors.of("/google") or _NOBODY).polled_s == self.work.polled_s)


class _Nobody:
    polled_s = -1.0


_NOBODY = _Nobody()


@contextlib.contextmanager
def door_before_vendor(
    place: Path, vendor: Vendor, *, limits: DoorLimits = NO_LIMITS, **account: Any
) -> Iterator[DoorBeforeVendor]:
    """Serve a drive in `place` with `vendor` at /google; `account` are settings of the upstream."""
    settings = {"poll_s": 0.3, "quiet_s": 0.1, **account}
    with serving(vendor), door_in_memory(place, limits=limits) as door:
        folder = VolumeFolder(place)
        ready, stop = threading.Event(), asyncio.Event()
        works: list[UpstreamWork] = []

        async def run() -> None:
            one = Account("google", "/google", "local", vendor.url, **settings)
            keep_account(folder, one)
            upstreams = Upstreams(door.drive.volume)
            upstreams.accounts[one.name] = one
            store, api = UpstreamStore(store_path(folder, one.name)), DriveApi(one.url)
            try:
                work = await open_upstream(
                    one, door.drive.volume, store, api, caller=ME, now_s=wall_s, rng=random.Random(1),
                    contents=upstreams.contents, servers=Servers(),
                )  # fmt: skip
                upstreams.works[one.name] = work
                works.append(work)
                handled = handlers(upstreams, folder)
                async with serve_control(folder.upstream_socket, handled, places=CONNECTIONS):
                    tasks = [asyncio.create_task(one) for one in (work.run(), share_uses(upstreams))]
                    ready.set()
                    await stop.wait()
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
                    await work.requests.close()
            finally:
                await api.close()
                store.close()

        running = asyncio.run_coroutine_threadsafe(run(), door.loop)
        try:
            while not ready.wait(0.05):
                if running.done():
                    running.result()
            made = DoorBeforeVendor(door, vendor, works[0], folder)
            made.settle()
            yield made
        finally:
            door.loop.call_soon_threadsafe(stop.set)
            running.result(30)
