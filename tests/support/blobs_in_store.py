"""What a drive with one bank in an object store lives through, whatever the store is."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from drive_under_test import Drive
from trivet.bank.away_segment import BODIES
from trivet.io.object_store import ObjectStore, plan_of

DEADLINE_S = 90.0
MIB = 1 << 20


class Store:
    """The object store at `url`, as somebody else sees it."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        self.url = url
        self._environment = environment

    def _opened(self) -> ObjectStore:
        return ObjectStore(plan_of(self.url), 0, self._environment)

    def bodies(self) -> list[str]:
        """Return the objects that hold blobs."""
        store = self._opened()
        return sorted(path for path in store.names_now(store.below()) if path.endswith(BODIES))

    def damage(self, path: str) -> None:
        """Write wrong bytes over the middle of every 64 KiB of an object."""
        store = self._opened()
        data = bytearray(store.read_now(path))
        for at in range(48 << 10, len(data), 64 << 10):
            data[at : at + 7] = b"damaged"
        asyncio.run(store.put(path, bytes(data)))


def until(is_so: Callable[[], bool]) -> None:
    """Wait until `is_so`, with a deadline."""
    end = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def live_in(drive: Drive, store: Store) -> None:
    """Write, damage, mend, kill and start again the drive whose last bank is in `store`."""
    base = drive.bases[2]
    drive.up("--blobs", f"{base}={store.url}")
    written = {name: os.urandom(size) for name, size in {"a": 3 * MIB, "b": 200 << 10}.items()}
    for name, data in written.items():
        (drive.folder / name).write_bytes(data)
    until(lambda: bool(store.bodies()))
    drive.wait_healthy()
    damaged = store.bodies()
    for path in damaged:
        store.damage(path)
    drive.trivet("repair", "--apply", expect=None)
    until(lambda: not set(damaged) & set(store.bodies()))  # all that was in them was stored anew
    drive.trivet("verify", "--deep")
    assert str(base) in drive.trivet("repairs").stdout
    drive.kill(drive.server_pid(base))
    written["c"] = os.urandom(MIB)
    (drive.folder / "c").write_bytes(written["c"])
    drive.wait_healthy()
    drive.trivet("down")
    drive.up()
    drive.wait_healthy()
    read = {path.name: path.read_bytes() for path in drive.folder.iterdir()}
    assert read == written
    drive.trivet("verify", "--deep")


def assert_tidy(place: Path, secrets: Mapping[str, str]) -> None:
    """Assert that no secret stands in a file below `place`."""
    for path in place.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in secrets.values()), path
