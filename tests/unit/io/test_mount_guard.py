"""The guard: nothing in it seems to be missing, nothing can be put there, and one can still mount over it."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.io.mount_guard import place_guard, remove_guard
from trivet.io.mount_table import find_mount

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/fuse").exists(), reason="only root may mount"),
]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "drive with space"
    folder.mkdir()
    place_guard(folder)
    yield folder
    remove_guard(folder)
    assert find_mount(folder) is None


@pytest.mark.parametrize(
    "deed",
    [
        lambda folder: os.listdir(folder),
        lambda folder: (folder / "file").read_bytes(),
        lambda folder: os.stat(folder / "file"),
        lambda folder: (folder / "file").write_bytes(b"lost"),
        lambda folder: (folder / "sub").mkdir(),
        lambda folder: os.statvfs(folder),
    ],
)
def test_everything_in_it_says_not_connected(guarded: Path, deed: Callable[[Path], object]) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        deed(guarded)


def test_a_drive_can_be_mounted_over_it(guarded: Path) -> None:
    entry = find_mount(guarded)
    assert entry is not None
    assert entry.is_guard
    assert not entry.is_ours
    assert guarded.is_dir()
    subprocess.run(["mount", "-t", "tmpfs", "over", guarded], check=True)
    (guarded / "file").write_bytes(b"kept by what is mounted")
    remove_guard(guarded)
    place_guard(guarded)
    assert (guarded / "file").exists()
    subprocess.run(["umount", guarded], check=True)
    entry = find_mount(guarded)
    assert entry is not None
    assert entry.is_guard
