"""A mount's life: clean end, busy end, taken away from outside, cut off, ended by a bug."""

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mounted_volume import RecordedVolume, served

from memory_ports import MemoryBanks
from trivet.errors import TrivetError
from trivet.io.mount_table import abort_mount, find_mount
from trivet.keeper.local_volume import LocalVolume
from trivet.mount.session import MOUNT_FAILED, mounted
from trivet.volume.file_numbers import FileNumbers

pytestmark = pytest.mark.mount
MAP_AND_CHANGE = """
import mmap, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 8192) as mapped:
    mapped[5000] = 7
"""


def test_mount_goes_with_its_block(tmp_path: Path) -> None:
    with served(MemoryBanks(), tmp_path) as running:
        entry = find_mount(tmp_path)
        assert entry is not None
        assert (entry.kind, entry.source, entry.is_ours) == ("fuse.trivet", "trivet:test", True)
        (tmp_path / "file").touch()
    assert running.failure is None
    assert find_mount(tmp_path) is None
    assert os.listdir(tmp_path) == []


def test_mounted_read_only_it_is_read_and_not_changed(tmp_path: Path) -> None:
    banks = MemoryBanks()
    with served(banks, tmp_path):
        (tmp_path / "file").write_bytes(b"as it was")
    with served(banks, tmp_path, read_only=True) as running:
        assert (tmp_path / "file").read_bytes() == b"as it was"
        for change in ((tmp_path / "new").touch, (tmp_path / "file").unlink, (tmp_path / "file").touch):
            with pytest.raises(OSError, match="Read-only") as refused:
                change()
            assert refused.value.errno == errno.EROFS
    assert running.failure is None


def test_mapped_changes_are_written_before_the_end(tmp_path: Path) -> None:
    banks = MemoryBanks()
    with served(banks, tmp_path):
        (tmp_path / "file").write_bytes(bytes(8192))
        subprocess.run([sys.executable, "-c", MAP_AND_CHANGE, tmp_path / "file"], check=True)
    with served(banks, tmp_path):
        assert (tmp_path / "file").read_bytes()[5000] == 7


def test_busy_mount_is_taken_away_all_the_same(tmp_path: Path) -> None:
    sitting = None
    with served(MemoryBanks(), tmp_path) as running:
        sitting = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        assert running.failure is None
        assert find_mount(tmp_path) is None
    finally:
        sitting.kill()
        sitting.wait()


def test_unmounting_by_hand_ends_the_session(tmp_path: Path) -> None:
    with served(MemoryBanks(), tmp_path) as running:
        subprocess.run(["umount" if os.geteuid() == 0 else "fusermount3", tmp_path], check=True)
        assert running.ended.wait(10)
    assert running.failure is None


def test_bug_ends_the_serving_and_nobody_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(volume: RecordedVolume, parent: int, name: bytes) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(RecordedVolume, "lookup", lookup, raising=False)
    with served(MemoryBanks(), tmp_path) as running:
        with pytest.raises(OSError, match=r".") as refused:
            os.stat(tmp_path / "file")
        assert refused.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
        assert running.ended.wait(30)
    assert isinstance(running.failure, ExceptionGroup)
    assert find_mount(tmp_path) is None


def test_cut_off_mount_gives_errors_and_is_gone_afterwards(tmp_path: Path) -> None:
    with served(MemoryBanks(), tmp_path):
        number = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
        asyncio.run(abort_mount(tmp_path))
        for use in (lambda: os.write(number, b"x"), lambda: os.close(number)):
            with pytest.raises(OSError, match=r".") as refused:
                use()
            assert refused.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
    assert find_mount(tmp_path) is None


def test_what_was_written_is_there_at_the_next_mount(tmp_path: Path) -> None:
    banks = MemoryBanks()
    for text in ("first", "second"):
        with served(banks, tmp_path):
            (tmp_path / text).write_text(text)
    with served(banks, tmp_path):
        assert sorted(os.listdir(tmp_path)) == ["first", "second"]
        assert (tmp_path / "second").read_text() == "second"
    banks.audit()


async def test_one_that_fails_again_and_again_can_still_be_made(tmp_path: Path) -> None:
    """A keeper that stands by tries it every 2 s, and a process has no more than 1024 sessions unclosed."""
    volume = LocalVolume.__new__(LocalVolume)
    volume.numbers = FileNumbers()
    for _time in range(1100):
        with pytest.raises(TrivetError, match=MOUNT_FAILED):
            async with mounted(volume, tmp_path / "none", "trivet:test"):
                pass
