"""Quotas as somebody sets and meets them: the command, the folder, `trivet://`, and a keeper that dies."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drive_under_test import Drive
from trivet.client.fsspec_files import TrivetFileSystem

pytestmark = pytest.mark.mount


def refused(work: Callable[[], object]) -> bool:
    """Tell whether `work` is refused for want of quota."""
    try:
        work()
    except OSError as error:
        if error.errno != errno.EDQUOT:
            raise
        return True
    return False


def used(drive: Drive, folder: Path) -> tuple[int, int]:
    """Return what `trivet quota list` says is used of a folder: bytes and files."""
    told: dict[str, Any] = json.loads(drive.trivet("quota", "list", "--json").stdout)
    row = next(row for row in told["quotas"] if row["path"] == f"/{folder.relative_to(drive.folder)}")
    return row["size_bytes"], row["files"]


def test_folder_takes_as_much_as_its_quota_and_no_more(lone_drive: Drive, folder: Path) -> None:
    limited, beside = folder / "limited", folder / "beside"
    limited.mkdir()
    beside.mkdir()
    (limited / "before").write_bytes(bytes(40_000))
    (beside / "large").write_bytes(bytes(70_000))
    lone_drive.trivet("quota", "set", str(limited), "--bytes", "100kB", "--files", "6")
    assert used(lone_drive, limited) == (40_000, 1)
    (limited / "more").write_bytes(bytes(50_000))
    assert refused(lambda: (limited / "too much").write_bytes(bytes(20_000)))
    assert refused(lambda: os.rename(beside / "large", limited / "large"))
    assert refused(lambda: os.truncate(limited / "more", 70_000))
    assert (limited / "more").stat().st_size == 50_000
    for number in range(3):
        (limited / f"d{number}").mkdir()
    assert refused((limited / "one more").mkdir)
    assert used(lone_drive, limited) == (90_000, 6)

    lone_drive.kill(lone_drive.keeper_pid())
    lone_drive.wait_healthy()
    assert used(lone_drive, limited) == (90_000, 6)
    assert refused((limited / "one more").mkdir)
    (limited / "before").unlink()
    os.rename(limited / "more", limited / "d0" / "moved")
    files = TrivetFileSystem(state=str(lone_drive.state))
    outside = f"/{limited.relative_to(lone_drive.folder)}/outside"
    assert refused(lambda: files.pipe_file(outside, bytes(60_000)))
    files.pipe_file(outside, bytes(10_000))
    assert used(lone_drive, limited)[0] == 60_000
    os.rename(limited / "d0", beside / "d0")
    assert used(lone_drive, limited)[0] == 10_000
    lone_drive.trivet("quota", "remove", str(limited))
    (limited / "large").write_bytes(bytes(200_000))
    assert "no quota" in lone_drive.trivet("quota", "remove", str(limited), expect=2).stderr
