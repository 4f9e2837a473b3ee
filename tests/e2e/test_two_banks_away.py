"""Two banks away: reads of what is known go on, a change is refused in time, and nothing is pretended."""

import errno
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
REFUSED_WITHIN_S = 3.0  # 2 s, and what a busy machine adds


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_changes_are_refused_and_go_on_when_a_bank_returns(drive: Drive) -> None:
    (drive.folder / "before").write_text("before")
    for base in drive.bases[1:]:
        drive.trivet("stop", str(base))

    kept = os.open(drive.folder / "before", os.O_WRONLY)
    changes: list[Callable[[], object]] = [
        lambda: os.pwrite(kept, b"AFTER!", 0),
        lambda: (drive.folder / "refused").write_bytes(b"never"),
        lambda: os.mkdir(drive.folder / "refused too"),
        lambda: os.truncate(drive.folder / "before", 0),
    ]
    for change in changes:
        began = time.monotonic()
        with pytest.raises(OSError, match="Input/output error") as caught:
            change()
        assert caught.value.errno == errno.EIO
        assert time.monotonic() - began < REFUSED_WITHIN_S
    os.close(kept)
    assert (drive.folder / "before").read_text() == "before"
    assert drive.status()["healthy"] is False

    drive.trivet("start", str(drive.bases[1]))
    drive.wait_status(lambda told: told["banks"][1]["servers"][0]["state"] == "up")
    (drive.folder / "after").write_text("after")
    assert set(os.listdir(drive.folder)) == {"before", "after"}
    assert (drive.folder / "before").read_text() == "before"
    drive.trivet("start", str(drive.bases[2]))
    drive.wait_healthy()
    drive.trivet("verify", "--deep")


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_the_kernel_sees_what_was_done_after_its_error(drive: Drive) -> None:
    """A rename that two banks left behind in the middle fails, and is done when they are back."""
    (drive.folder / "old").write_text("moved")
    assert not (drive.folder / "new").exists()  # which the kernel remembers
    away = drive.bases[1:]
    pids = [drive.server_pid(base) for base in away]
    for pid in pids:
        drive.kill(pid, signal.SIGSTOP)
    slot = drive.status()["keeper"]["slot"]
    with ThreadPoolExecutor(3) as pool:
        renaming = pool.submit(os.rename, drive.folder / "old", drive.folder / "new")
        drive.wait_status(lambda told: told["keeper"]["slot"] > slot)
        stopping = [pool.submit(drive.trivet, "stop", str(base)) for base in away]
        for pid in pids:
            drive.kill(pid)
        with suppress(OSError):  # it succeeds if one was started again before it was to stay away
            renaming.result()
        for stop in stopping:
            stop.result()
    for base in away:
        drive.trivet("start", str(base))
    drive.wait_healthy()
    (name,) = os.listdir(drive.folder)
    assert (drive.folder / name).read_text() == "moved"
    assert not (drive.folder / ("new" if name == "old" else "old")).exists()
    (drive.folder / name).unlink()
