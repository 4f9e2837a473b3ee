"""The mount table: found by path, also with spaces in it, and nothing found where nothing is."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from trivet.io.mount_table import clear_dead_mount, find_mount, probe_mount, unmount


def test_what_the_kernel_itself_mounts() -> None:
    entry = find_mount(Path("/proc"))
    assert entry is not None
    assert entry.kind == "proc"
    assert not entry.is_ours
    assert find_mount(Path("/proc/self")) is None


async def test_nothing_mounted_is_nothing_to_do(tmp_path: Path) -> None:
    assert find_mount(tmp_path) is None
    assert await unmount(tmp_path)
    assert not await clear_dead_mount(tmp_path)


@pytest.mark.mount
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tmpfs")
def test_names_with_spaces_and_a_busy_mount(tmp_path: Path) -> None:
    place = tmp_path / "with space\tand\\backslash"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "some where", place], check=True)
    entry = find_mount(place)
    assert entry is not None
    assert (entry.path, entry.source) == (place, "some where")
    assert asyncio.run(probe_mount(entry)) == "alive"
    assert not asyncio.run(clear_dead_mount(place))
    with (place / "open").open("w"):
        assert not asyncio.run(unmount(place))
    assert asyncio.run(unmount(place))
    assert find_mount(place) is None
