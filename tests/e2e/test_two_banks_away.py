"""Two banks away: reads of what is known go on, a change is refused in time, and nothing is pretended."""

import errno
import os
import time

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
REFUSED_WITHIN_S = 4.0


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_changes_are_refused_and_go_on_when_a_bank_returns(drive: Drive) -> None:
    (drive.folder / "before").write_text("before")
    for base in drive.bases[1:]:
        drive.trivet("stop", str(base))

    for number in range(3):
        began = time.monotonic()
        with pytest.raises(OSError, match="Input/output error") as caught:
            os.mkdir(drive.folder / f"refused{number}")
        assert caught.value.errno == errno.EIO
        assert time.monotonic() - began < REFUSED_WITHIN_S
    assert (drive.folder / "before").read_text() == "before"
    assert drive.status()["healthy"] is False

    drive.trivet("start", str(drive.bases[1]))
    drive.wait_status(lambda told: told["banks"][1]["servers"][0]["state"] == "up")
    (drive.folder / "after").write_text("after")
    # Only the first may have been done: it was on its way when the banks went; the others were refused.
    assert {"before", "after"} <= set(os.listdir(drive.folder)) <= {"before", "after", "refused0"}
    drive.trivet("start", str(drive.bases[2]))
    drive.wait_healthy()
    drive.trivet("verify", "--deep")
