"""A mount's life: clean end, busy end, taken away from outside, cut off, ended by a bug."""

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from memory_volume import MemoryVolume
from mounted_volume import served

from trivet.io.mount_table import abort_mount, find_mount
from trivet.volume.interface import Attributes

pytestmark = pytest.mark.mount
MAP_AND_CHANGE = """
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 8192) as mapped:
    mapped[5000] = 7
"""


def test_mount_goes_with_its_block(tmp_path: Path) -> None:
    with served(MemoryVolume(), tmp_path) as running:
        entry = find_mount(tmp_path)
        assert entry is not None
        assert (entry.kind, entry.source, entry.is_ours) == ("fuse.trivet", "trivet:test", True)
        (tmp_path / "file").touch()
    assert running.failure is None
    assert find_mount(tmp_path) is None
    assert os.listdir(tmp_path) == []


def test_mapped_changes_are_written_before_the_end(tmp_path: Path) -> None:
    volume = MemoryVolume()
    with served(volume, tmp_path):
        (tmp_path / "file").write_bytes(bytes(8192))
        ino = (tmp_path / "file").stat().st_ino
        # A process of its own: a page fault in ours would hold the interpreter's lock against the server.
        subprocess.run([sys.executable, "-c", MAP_AND_CHANGE, tmp_path / "file"], check=True)
    assert volume.nodes[ino].body[5000] == 7


def test_busy_mount_is_taken_away_all_the_same(tmp_path: Path) -> None:
    sitting = None
    with served(MemoryVolume(), tmp_path) as running:
        sitting = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        assert running.failure is None
        assert find_mount(tmp_path) is None
    finally:
        sitting.kill()
        sitting.wait()


def test_unmounting_by_hand_ends_the_session(tmp_path: Path) -> None:
    with served(MemoryVolume(), tmp_path) as running:
        subprocess.run(["umount" if os.geteuid() == 0 else "fusermount3", tmp_path], check=True)
        assert running.ended.wait(10)
    assert running.failure is None


def test_bug_ends_the_serving_and_nobody_hangs(tmp_path: Path) -> None:
    class Broken(MemoryVolume):
        async def getattr(self, ino: int) -> Attributes:
            raise AssertionError("a bug")

        async def lookup(self, parent: int, name: bytes) -> Attributes:
            raise AssertionError("a bug")

    with served(Broken(), tmp_path) as running:
        with pytest.raises(OSError, match=r".") as refused:
            os.stat(tmp_path / "file")
        assert refused.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
        assert running.ended.wait(30)
    assert isinstance(running.failure, ExceptionGroup)
    assert find_mount(tmp_path) is None


def test_cut_off_mount_gives_errors_and_is_gone_afterwards(tmp_path: Path) -> None:
    with served(MemoryVolume(), tmp_path):
        number = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
        asyncio.run(abort_mount(tmp_path))
        for use in (lambda: os.write(number, b"x"), lambda: os.close(number)):
            with pytest.raises(OSError, match=r".") as refused:
                use()
            assert refused.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
    assert find_mount(tmp_path) is None


def test_second_mount_of_one_process_works_after_the_first(tmp_path: Path) -> None:
    volume = MemoryVolume()
    for text in ("first", "second"):
        with served(volume, tmp_path):
            (tmp_path / text).write_text(text)
    with served(volume, tmp_path):
        assert sorted(os.listdir(tmp_path)) == ["first", "second"]
