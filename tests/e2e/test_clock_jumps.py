"""A wall clock that jumps by years, there and back, under a running drive: nothing changes but time stamps."""

import os
import time
from pathlib import Path

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
DAYS = ("+4000d", "-4000d", "+0")
DAY_S = 86_400


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says how far the wall clock of processes started from now on is off."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("shifting the clock needs the Debian package libfaketime")
    offset = tmp_path / "clock"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", str(libraries[0]))
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(offset))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    return offset


def test_a_clock_that_jumps_changes_nothing(clock: Path, new_drive: Drive) -> None:
    new_drive.up()
    before = new_drive.status()["keeper"]
    first = new_drive.bases[0]
    new_drive.put(first, b"/by-hand", b"stays", ttl=600)
    written: dict[str, bytes] = {}
    years = []
    for number, days in enumerate(DAYS):
        clock.write_text(days)
        for name, size in ((f"small{number}", 700), (f"large{number}", 1_500_000)):
            written[name] = os.urandom(size)
            with (new_drive.folder / name).open("wb") as file:
                file.write(written[name])
                file.flush()
                os.fsync(file.fileno())
        os.rename(new_drive.folder / f"small{number}", new_drive.folder / "small")
        written["small"] = written.pop(f"small{number}")
        years.append((new_drive.folder / f"large{number}").stat().st_mtime)
        for name, body in written.items():
            assert (new_drive.folder / name).read_bytes() == body
        new_drive.wait_fresh_refresh()
        assert new_drive.get(first, b"/by-hand") == b"stays"
        new_drive.wait_healthy()
    now = time.time()
    assert [round((stamp - now) / DAY_S) for stamp in years] == [4000, -4000, 0], "the clock did not jump"
    after = new_drive.status()["keeper"]
    assert (after["pid"], after["epoch"]) == (before["pid"], before["epoch"])
    new_drive.trivet("verify", "--deep")

    # A keeper that starts under another time than the one before goes on from the same place.
    clock.write_text(DAYS[1])
    new_drive.kill(new_drive.keeper_pid())
    new_drive.wait_status(lambda told: (told["keeper"]["epoch"] or 0) > before["epoch"])
    new_drive.wait_healthy()
    for name, body in written.items():
        assert (new_drive.folder / name).read_bytes() == body
