"""`trivet bank replace`: servers begin anew, empty, while people work, and whatever is killed meanwhile."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drive_under_test import Drive, drop_caches, running_drive
from steady_load import SteadyLoad

pytestmark = pytest.mark.mount

SLOW = "1"
LARGE = os.urandom(12 << 20)


def is_filling(told: dict[str, Any], port: int) -> bool:
    """Tell whether `port` is being filled and people are told for how long."""
    refill = told["refill"]
    return refill is not None and refill["servers"] == [port] and refill["left_s"] is not None


def begin_replacing(drive: Drive, port: int, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Have a server replaced, slowly; return who waits for that, and the status while it is filled."""
    drive.trivet("bank", "limit", SLOW)
    words = [sys.executable, "-m", "trivet", "bank", "replace", str(port), "--wait", "--json", *options]
    waiting = subprocess.Popen([*words, "--state", str(drive.state)], stdout=subprocess.PIPE, text=True)
    return waiting, drive.wait_status(lambda told: is_filling(told, port))


def test_servers_are_replaced_while_people_work_and_things_die(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with running_drive(tmp_path, 1) as drive:
        (drive.folder / "large").write_bytes(LARGE)
        load = SteadyLoad(drive.folder / "load", 7)
        load.start()
        load.wait_more(40)
        one, two, three = drive.bases
        drive.wait_healthy()
        waiting, told = begin_replacing(drive, two, "--path", str(disk))
        assert told["healthy"] is False
        assert 0 < told["refill"]["done_bytes"] < told["refill"]["total_bytes"]
        assert told["refill"]["limit_bytes_s"] == 1_000_000
        refused = drive.trivet("bank", "replace", str(three), expect=2).stderr
        assert f"server {two} is being filled itself" in refused
        drive.kill(drive.server(two)["pid"])
        drive.kill(drive.keeper_pid())  # the next one fills it at the usual rate
        done = json.loads(waiting.communicate(timeout=60)[0])
        assert done["done"] is True
        assert (drive.state / f"bank-{two}" / f"server-{two}").readlink() == disk / f"server-{two}"
        assert Path(done["servers"][0]["kept"]).is_dir()
        load.wait_more(40)
        load.end()
        load.assert_kept()
        drive.wait_healthy()
        waiting, _ = begin_replacing(drive, three)
        for process in drive.processes():
            process.kill()
        waiting.communicate(timeout=60)
        drive.up()
        drive.wait_healthy(60)
        drive.trivet("verify", "--deep")
        drive.trivet("stop", str(one))  # so that what was replaced must answer
        drop_caches()
        assert (drive.folder / "large").read_bytes() == LARGE
        load.assert_kept()
