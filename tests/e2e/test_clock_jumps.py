"""A wall clock that jumps by years, there and back, under a running drive: only time stamps change."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
DAY_S = 86_400
DAYS = (4000, -4000)
JUMP_WITHIN_S = 20


@pytest.fixture
def jump(new_drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Bring the drive up; return what shifts the wall clock of all its processes by days."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("shifting the clock needs the Debian package libfaketime")
    offset = tmp_path / "clock"
    offset.write_text("+0d")
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(libraries[0]))
        patch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
        patch.setenv("FAKETIME_CACHE_DURATION", "1")
        patch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        new_drive.up()

    def shift(days: int) -> None:
        fresh = offset.with_name("new")
        fresh.write_text(f"{days:+}d")
        fresh.rename(offset)
        until = time.monotonic() + JUMP_WITHIN_S
        probe = new_drive.folder / "probe"
        while True:
            probe.write_text("the keeper stamps what is written")
            if round((probe.stat().st_mtime - time.time()) / DAY_S) == days:
                return
            assert time.monotonic() < until, "the clock did not jump"
            time.sleep(0.1)

    return shift


def test_a_clock_that_jumps_changes_nothing(jump: Callable[[int], None], new_drive: Drive) -> None:
    before = new_drive.status()["keeper"]
    first = new_drive.bases[0]
    new_drive.put(first, b"/by-hand", b"stays", ttl=600)
    written: dict[str, bytes] = {}
    for days in DAYS:
        jump(days)
        for name, size in ((f"small{days}", 700), (f"large{days}", 1_500_000)):
            written[name] = os.urandom(size)
            with (new_drive.folder / name).open("wb") as file:
                file.write(written[name])
                file.flush()
                os.fsync(file.fileno())
        check(new_drive, written)
        new_drive.wait_fresh_refresh()
        assert new_drive.get(first, b"/by-hand") == b"stays"
        new_drive.wait_healthy()
    after = new_drive.status()["keeper"]
    assert (after["pid"], after["epoch"]) == (before["pid"], before["epoch"])
    new_drive.trivet("verify", "--deep")

    # A keeper that starts years before the one it follows goes on from the same place.
    new_drive.kill(new_drive.keeper_pid())
    new_drive.wait_status(lambda told: (told["keeper"]["epoch"] or 0) > before["epoch"])
    new_drive.wait_healthy()
    check(new_drive, written)


def check(drive: Drive, written: dict[str, bytes]) -> None:
    """Read everything; any wrong byte fails the test."""
    for name, body in written.items():
        assert (drive.folder / name).read_bytes() == body, f"wrong bytes in {name}"
