"""Processes die and are started again; those stopped on purpose are not; the supervisor's death ends all."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from drive_under_test import Drive
from free_ports import is_free
from trivet.io.mount_table import find_mount

pytestmark = pytest.mark.mount


def wait_gone(drive: Drive, deadline_s: float = 30) -> None:
    """Wait until no process of the drive is left."""
    until = time.monotonic() + deadline_s
    while left := drive.processes():
        assert time.monotonic() < until, left
        time.sleep(0.05)


def test_what_dies_is_started_again(new_drive: Drive) -> None:
    new_drive.up()
    (new_drive.folder / "file").write_text("kept")
    opened = os.open(new_drive.folder / "file", os.O_RDONLY)
    keeper, server = new_drive.keeper_pid(), new_drive.server_pid(new_drive.bases[0])
    new_drive.kill(server)
    new_drive.kill(keeper)
    with pytest.raises(OSError, match=r"not connected|abort"):
        os.read(opened, 10)
    with contextlib.suppress(OSError):
        os.close(opened)
    written: list[Path] = []
    until = time.monotonic() + 30
    while len(written) < 5 and time.monotonic() < until:
        path = new_drive.folder / f"new-{len(written)}"
        with contextlib.suppress(OSError):
            path.write_text("acknowledged")
            written.append(path)
    new_drive.wait_healthy()
    assert [path.read_text() for path in written] == ["acknowledged"] * 5
    assert (new_drive.folder / "file").read_text() == "kept"
    assert new_drive.keeper_pid() != keeper
    assert new_drive.server_pid(new_drive.bases[0]) != server


def test_a_hung_keeper_is_replaced(new_drive: Drive) -> None:
    """Who waits in the folder gets an error instead of waiting for ever."""
    new_drive.up()
    (new_drive.folder / "file").write_text("kept")
    keeper = new_drive.keeper_pid()
    new_drive.kill(keeper, signal.SIGSTOP)
    with pytest.raises(OSError, match=r"not connected|abort"):
        os.listdir(new_drive.folder)
    new_drive.wait_healthy()
    assert new_drive.keeper_pid() != keeper
    assert (new_drive.folder / "file").read_text() == "kept"


def test_a_hung_server_costs_nobody_a_stall(new_drive: Drive) -> None:
    new_drive.up()
    pid = new_drive.server_pid(new_drive.bases[2])
    new_drive.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for n in range(20):
            (new_drive.folder / str(n)).write_text("x")
        assert time.monotonic() - began < 5
        new_drive.wait_status(lambda told: told["banks"][2]["servers"][0]["state"] in ("hung", "down"))
    finally:
        new_drive.kill(pid, signal.SIGCONT)
    new_drive.wait_healthy()


def test_stopped_on_purpose_stays_stopped(new_drive: Drive) -> None:
    new_drive.servers = 2
    new_drive.up()
    base = new_drive.bases[1]
    new_drive.trivet("stop", str(base), "--server")
    assert new_drive.server(base)["state"] == "stopped"
    assert new_drive.server(base + 1)["state"] == "up"
    new_drive.trivet("start", str(base))
    new_drive.trivet("stop", str(base))
    assert {new_drive.server(port)["state"] for port in new_drive.ports_of(base)} == {"stopped"}
    told = new_drive.trivet("status", expect=1).stdout
    assert f"`trivet start {base}`" in told
    new_drive.wait_fresh_refresh()
    assert is_free(base)
    assert "none of this volume's servers" in new_drive.trivet("stop", "1", expect=2).stderr


def test_a_server_started_by_hand_joins(new_drive: Drive) -> None:
    new_drive.up()
    base = new_drive.bases[2]
    new_drive.trivet("stop", str(base))
    words = ["serve", "bank", "--port", str(base), "--state", str(new_drive.state)]
    with subprocess.Popen([sys.executable, "-m", "trivet", *words]) as by_hand:
        try:
            told = new_drive.wait_healthy()
            assert told["banks"][2]["servers"][0]["pid"] == by_hand.pid
            new_drive.trivet("start", str(base))
            (new_drive.folder / "file").write_text("x")
            new_drive.wait_healthy()
            assert new_drive.server(base)["pid"] == by_hand.pid
        finally:
            by_hand.terminate()


def test_no_supervise_leaves_the_dead_alone(new_drive: Drive) -> None:
    new_drive.up("--no-supervise")
    base = new_drive.bases[0]
    new_drive.kill(new_drive.server_pid(base))
    new_drive.wait_fresh_refresh()
    assert new_drive.server(base)["state"] == "down"
    (new_drive.folder / "file").write_text("two banks are enough")
    new_drive.trivet("start", str(base))
    new_drive.wait_healthy()


def test_killing_the_supervisor_ends_everything_cleanly(new_drive: Drive) -> None:
    new_drive.up()
    (new_drive.folder / "file").write_text("kept")
    supervisor = next(p for p in new_drive.processes() if "up" in p.cmdline())
    new_drive.kill(supervisor.pid)
    wait_gone(new_drive)
    assert find_mount(new_drive.folder) is None
    assert all(is_free(base) for base in new_drive.bases)
    new_drive.up()
    assert (new_drive.folder / "file").read_text() == "kept"


def test_unmounting_by_hand_is_made_good(new_drive: Drive) -> None:
    new_drive.up()
    (new_drive.folder / "file").write_text("kept")
    unmount = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    subprocess.run([*unmount, new_drive.folder], check=True)
    until = time.monotonic() + 30
    while (entry := find_mount(new_drive.folder)) is None or entry.is_guard:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (new_drive.folder / "file").read_text() == "kept"


def test_down_with_somebody_inside_the_folder(new_drive: Drive, tmp_path: Path) -> None:
    new_drive.up()
    with subprocess.Popen(["sleep", "60"], cwd=new_drive.folder) as sitting:
        try:
            new_drive.trivet("down")
            assert find_mount(new_drive.folder) is None
            assert new_drive.processes() == []
        finally:
            sitting.kill()
