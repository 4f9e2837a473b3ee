"""`trivet bank add`: a bank grows while people work, whatever is killed meanwhile, and stays grown."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drive_under_test import Drive, drop_caches, running_drive
from steady_load import SteadyLoad

pytestmark = pytest.mark.mount

FILES = {f"large{number}": os.urandom(6 << 20) for number in range(10)}


def write_files(drive: Drive) -> None:
    for name, body in FILES.items():
        (drive.folder / name).write_bytes(body)


def assert_files(drive: Drive) -> None:
    drop_caches()
    for name, body in FILES.items():
        assert (drive.folder / name).read_bytes() == body, name


def blobs_of(drive: Drive, port: int) -> int:
    held: int = drive.server(port)["blobs"]
    return held


def assert_shared(drive: Drive, old: int, new: int, before: int) -> None:
    """Assert that two servers hold, between them, what one did, and each about half of it."""
    kept, moved = blobs_of(drive, old), blobs_of(drive, new)
    assert kept + moved >= before
    assert 0.25 < moved / (kept + moved) < 0.75


def test_a_bank_grows_while_people_work_and_stays_grown(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with running_drive(tmp_path, 1) as drive:
        write_files(drive)
        load = SteadyLoad(drive.folder / "load", 11)
        load.start()
        load.wait_more(30)
        drive.wait_healthy()
        one, two, three = drive.bases
        repaired = drive.status()["repaired_total"]
        before = len(FILES) * 6
        told = drive.trivet("bank", "add", str(three), "--wait", "--json", "--path", str(disk))
        done = json.loads(told.stdout)
        assert done["done"] is True
        assert [server["port"] for server in done["servers"]] == [three + 1]
        assert (
            drive.state / f"bank-{three}" / f"server-{three + 1}"
        ).readlink() == disk / f"server-{three + 1}"
        load.wait_more(30)
        load.end()
        assert load.counts["loud errors"] == 0
        load.assert_kept()
        drive.wait_healthy()
        assert_shared(drive, three, three + 1, before)
        assert drive.status()["repaired_total"] == repaired, "nothing was damaged, so nothing is repaired"
        drive.trivet("verify", "--deep")
        assert_files(drive)
        drive.trivet("down")
        assert f"{three}-{three + 1}" in drive.up().stdout
        drive.wait_healthy()
        assert_shared(drive, three, three + 1, before)
        for port in (one, two):
            drive.trivet("stop", str(port))
        drop_caches()  # what is read now lies on the two servers of one bank
        for name, body in FILES.items():
            assert (drive.folder / name).read_bytes() == body, name
        for port in (one, two):
            drive.trivet("start", str(port))
        drive.wait_healthy()
        drive.trivet("verify", "--deep")


def is_moving(told: dict[str, Any], port: int) -> bool:
    refill = told["refill"]
    return (
        refill is not None
        and refill["servers"] == [port]
        and refill["left_s"] is not None
        and 0 < refill["done_bytes"] < refill["total_bytes"]
    )


def test_what_is_killed_while_blobs_move_goes_on(tmp_path: Path) -> None:
    with running_drive(tmp_path, 1) as drive:
        write_files(drive)
        load = SteadyLoad(drive.folder / "load", 12)
        load.start()
        load.wait_more(20)
        drive.wait_healthy()
        base = drive.bases[1]
        drive.trivet("bank", "limit", "3")
        words = [sys.executable, "-m", "trivet", "bank", "add", str(base), "--count", "2", "--wait", "--json"]
        waiting = subprocess.Popen([*words, "--state", str(drive.state)], stdout=subprocess.PIPE, text=True)
        told = drive.wait_status(lambda told: told["refill"] is not None)
        drive.kill(drive.server(told["refill"]["servers"][0])["pid"])
        drive.wait_status(lambda told: told["refill"] is not None and told["refill"]["done_bytes"] > 0)
        drive.kill(drive.keeper_pid())  # the next one moves at the usual rate
        assert json.loads(waiting.communicate(timeout=90)[0])["done"] is True
        load.wait_more(20)
        load.end()
        load.assert_kept()
        drive.wait_healthy(60)
        assert all(blobs_of(drive, port) > 5 for port in range(base, base + 3))
        drive.trivet("verify", "--deep")
        drive.trivet("bank", "limit", "1")
        drive.trivet("bank", "add", str(drive.bases[0]))
        drive.wait_status(lambda told: is_moving(told, drive.bases[0] + 1))
        for process in drive.processes():
            process.kill()
        drive.up()
        drive.wait_healthy(60)
        drive.trivet("verify", "--deep")
        assert_files(drive)
        load.assert_kept()


def test_what_cannot_grow_says_why(tmp_path: Path) -> None:
    with running_drive(tmp_path, 1) as drive:
        drive.wait_healthy()
        one, two, three = drive.bases

        def refused(*words: str, code: int = 2) -> str:
            before = (drive.state / "volume.json").read_bytes()
            told = drive.trivet("bank", "add", *words, expect=code).stderr
            assert (drive.state / "volume.json").read_bytes() == before
            return told

        assert f"its banks are {one}, {two}, {three}" in refused(str(three + 1))
        assert "--count" in refused(str(three), "--count", "0")
        assert "is no folder" in refused(str(three), "--path", str(tmp_path / "nowhere"))
        with socket.create_server(("127.0.0.1", three + 1)):
            assert f"in use by another program: port {three + 1}" in refused(str(three))
        left = drive.state / f"bank-{three}" / f"server-{three + 1}"
        left.mkdir()
        (left / "thing").touch()
        assert "is not empty" in refused(str(three))
        shutil.rmtree(left)
        drive.trivet("stop", str(two))
        assert f"server {two} is" in refused(str(three))
        drive.trivet("start", str(two))
        drive.wait_healthy()
        drive.trivet("down")
        assert "is not running" in refused(str(three), code=3)
        drive.up("--blobs", f"{three}=file://{tmp_path}/store")
        drive.wait_healthy()
        assert f"keeps its blobs in file://{tmp_path}/store" in refused(str(three))
