"""A drive with one bank's blobs in an object store: a folder here, a real one in `tests/engines`."""

from pathlib import Path

from blobs_in_store import Store, live_in
from drive_under_test import Drive


def test_a_bank_in_an_object_store_lives_through_damage_kills_and_restarts(
    new_drive: Drive, tmp_path: Path
) -> None:
    live_in(new_drive, Store(f"file://{tmp_path}/objects?pack_s=0&cache_bytes=0", {}))
