"""trivet snapshot on a real drive: everything changed, a bank wiped, kill -9, and all is back as it was."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drive_under_test import WAIT_S, Drive, running_drive
from test_export_import import make_tree, picture
from trivet.io.mount_table import find_mount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")
KILLED_AFTER_ENTRIES = 8
#: How often the keeper is killed while it makes and restores snapshots; each time it is away for 5 s.
KILLS = int(os.environ.get("TRIVET_SNAPSHOT_KILLS", "0"))


@pytest.fixture(scope="module")
def own_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A drive of one server a bank that is restored as a whole."""
    with running_drive(tmp_path_factory.mktemp("own"), 1) as running:
        yield running
        print(running.logs())


def snapshots(drive: Drive) -> list[dict[str, Any]]:
    """Return what is told of every snapshot."""
    told: list[dict[str, Any]] = json.loads(drive.trivet("snapshot", "list", "--json").stdout)["snapshots"]
    return told


def test_all_comes_back_after_everything_was_changed_and_a_bank_wiped(own_drive: Drive) -> None:
    drive, top = own_drive, own_drive.folder / "all"
    top.mkdir()
    make_tree(top / "work")
    (top / "single").write_bytes(b"single")
    for number in range(300):
        (top / f"{number}").write_bytes(os.urandom(500) if number % 20 else os.urandom(200_000))
    os.utime(top, ns=(5, 1_000_000_000_000_000_007))
    os.utime(drive.folder, ns=(5, 1_000_000_000_000_000_009))
    before = picture(drive.folder)
    drive.trivet("snapshot", "create", "good")

    shutil.rmtree(top)
    top.write_bytes(b"no folder any more")
    (drive.folder / "later").mkdir()
    (drive.folder / "later" / "file").write_bytes(b"later")
    after = picture(drive.folder)
    base = drive.bases[0]
    drive.trivet("stop", str(base))
    shutil.rmtree(drive.state / f"bank-{base}")
    drive.trivet("start", str(base))
    drive.wait_healthy()

    for _ in range(KILLS):
        kill_meanwhile(drive, "create", "killed")
        kill_meanwhile(drive, "restore", "good")
    drive.trivet("snapshot", "restore", "good")
    assert picture(drive.folder) == before
    undo = next(one["name"] for one in snapshots(drive) if one["name"].startswith("before-restore"))
    drive.trivet("snapshot", "restore", undo)
    assert picture(drive.folder) == after
    refused = drive.trivet("snapshot", "restore", "good", "/all/work/deep", expect=2)
    assert "there is no /all/work in the drive" in refused.stderr
    drive.trivet("snapshot", "restore", "good", "/all")
    told = picture(drive.folder)
    assert {name: told[name] for name in told if name.startswith("all")} == {
        name: before[name] for name in before if name.startswith("all")
    }
    drive.trivet("verify", "--deep")
    drive.trivet("snapshot", "remove", "good")
    assert "no snapshot good" in drive.trivet("snapshot", "restore", "good", expect=2).stderr


def kill_meanwhile(drive: Drive, *words: str) -> None:
    """Run a verb of snapshots and kill the keeper once it wrote something; wait until all is well."""
    command = [sys.executable, "-m", "trivet", "snapshot", *words, "--state", str(drive.state)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    slot, until = drive.status()["keeper"]["slot"], time.monotonic() + WAIT_S
    while running.poll() is None and drive.status()["keeper"]["slot"] < slot + KILLED_AFTER_ENTRIES:
        assert time.monotonic() < until, "nothing happened"
    drive.kill(drive.keeper_pid())
    running.communicate(timeout=60)
    drive.wait_healthy()
    assert {one["name"].split("-")[0] for one in snapshots(drive)} <= {"good", "killed", "before"}
    if "killed" in [one["name"] for one in snapshots(drive)]:
        drive.trivet("snapshot", "remove", "killed")


def test_a_mounted_snapshot_shows_what_was(own_drive: Drive, tmp_path: Path) -> None:
    top = own_drive.folder / "to be mounted"
    top.mkdir()
    make_tree(top)
    before = picture(top)
    own_drive.trivet("snapshot", "create", "shown")
    shutil.rmtree(top)
    where = tmp_path / "was"
    command = [
        sys.executable,
        "-m",
        "trivet",
        "snapshot",
        "mount",
        "shown",
        str(where),
        "--state",
        str(own_drive.state),
    ]
    showing = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert showing.stdout is not None
        assert "snapshot shown is in" in showing.stdout.readline()
        assert picture(where / top.name) == before
        with pytest.raises(OSError, match="Read-only"):
            (where / "new").write_bytes(b"x")
        with pytest.raises(OSError, match="Read-only"):
            (where / top.name / "small").unlink()
    finally:
        showing.terminate()
        assert showing.wait(30) == 0
    assert find_mount(where) is None
    own_drive.trivet("snapshot", "remove", "shown")
