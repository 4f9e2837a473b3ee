"""A file read ahead is in the kernel's memory afterwards; one too large for that is left alone."""

import os
import time
from pathlib import Path

import psutil
import pytest

from trivet.io import disk

SIZE = 9 << 20
PAGE = 4096


def in_memory(fd: int, offset: int) -> bool:
    """Tell whether a page can be read without the disk."""
    try:
        return os.preadv(fd, [bytearray(PAGE)], offset, os.RWF_NOWAIT) == PAGE
    except BlockingIOError:
        return False


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if in_memory(file.fileno(), SIZE - PAGE):
            pytest.skip("this file system keeps what it is told to forget")
    return path


def test_what_is_read_ahead_is_in_memory(cold: Path) -> None:
    """In steps, so that whoever waits for the thread gets his turn."""
    assert len(list(disk.read_ahead(cold))) == 3
    until = time.monotonic() + 30
    with cold.open("rb") as file:
        while not in_memory(file.fileno(), SIZE - PAGE):
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_file_larger_than_half_of_the_free_memory_is_left_alone(
    cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Memory:
        available = SIZE

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    assert list(disk.read_ahead(cold)) == []


def test_a_file_that_is_gone_is_left_to_who_reads_it(tmp_path: Path) -> None:
    """A server reads on from a table that somebody deleted: it has it open."""
    assert list(disk.read_ahead(tmp_path / "gone")) == []
