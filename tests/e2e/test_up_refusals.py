"""What `trivet up` refuses, and that each refusal names the way out."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from drive_under_test import Drive
from trivet.io.mount_table import find_mount

pytestmark = pytest.mark.mount


def test_a_state_of_another_shape(new_drive: Drive) -> None:
    bases = [new_drive.bases[0], new_drive.bases[1], new_drive.bases[2]]
    new_drive.trivet("volume", "init", "--servers", "1", "--ports", ",".join(map(str, bases)))
    told = new_drive.trivet("up", "--servers", "3", "--mount", str(new_drive.folder), expect=2).stderr
    assert "made with 1 servers a bank, not 3" in told
    told = new_drive.trivet("up", "--ports", "1000,2000,3000", expect=2).stderr
    assert "was made with --ports" in told
    path = new_drive.state / "volume.json"
    told_config = json.loads(path.read_text())
    path.write_text(json.dumps({**told_config, "format": 99}))
    told = new_drive.trivet("up", expect=2).stderr
    assert "format 99" in told
    path.write_text(json.dumps(told_config))
    (new_drive.state / "volume.key").chmod(0o644)
    assert "chmod 600" in new_drive.trivet("up", expect=2).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--ports", "7000,8000"], "a drive has three"),
        (["--ports", "7000,7001,9000", "--servers", "2"], "overlap"),
        (["--ports", "7000,8000,99999"], "1 to 65535"),
        (["--ports", "a,b,c"], "three numbers"),
        (["--servers", "0"], "1 to 100"),
        (["--refresh", "0"], "above 0"),
        (["--amqp", "amqp://guest:hidden@127.0.0.1:1/"], "amqp://guest@127.0.0.1:1/: RabbitMQ can't be used"),
        (["--redis", "rabbit"], "an address such as redis://"),
    ],
)
def test_options_that_make_no_drive(new_drive: Drive, options: list[str], words: str) -> None:
    mount = ["--mount", str(new_drive.folder)]
    assert words in new_drive.trivet("up", *mount, *options, expect=2).stderr
    assert not (new_drive.state / "volume.json").exists()


def test_a_used_port(new_drive: Drive) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", new_drive.bases[1]))
        other.listen()
        told = new_drive.up(expect=2).stderr
    assert f"port {new_drive.bases[1]}" in told
    assert f"process {os.getpid()}" in told
    assert find_mount(new_drive.folder) is None


def test_a_folder_that_would_hide_files(new_drive: Drive) -> None:
    new_drive.folder.mkdir()
    (new_drive.folder / "precious").touch()
    assert "is not empty" in new_drive.up(expect=2).stderr
    (new_drive.folder / "precious").unlink()
    new_drive.folder.rmdir()
    new_drive.folder.touch()
    assert "not a folder" in new_drive.up(expect=2).stderr


def test_what_is_not_running_says_so(new_drive: Drive) -> None:
    assert "makes one" in new_drive.trivet("status", expect=2).stderr
    new_drive.trivet("volume", "init", "--servers", "1", *new_drive.where()[:2])
    for verb in ("status", "verify", "down", "repairs"):
        assert "is not running; `trivet up" in new_drive.trivet(verb, expect=3).stderr


def test_a_second_up_a_stale_mount_and_a_foreign_state(new_drive: Drive) -> None:
    new_drive.up()
    told = new_drive.up(expect=2).stderr
    assert "already up" in told
    assert "trivet down" in told
    (new_drive.folder / "kept").write_text("kept")

    # Everything of the drive is killed at once, as by somebody's `killall`: the mount stays, dead.
    subprocess.run([sys.executable, "-c", KILL_ALL, str(new_drive.state)], check=True)
    with pytest.raises(OSError, match="not connected"):
        os.listdir(new_drive.folder)
    assert "cleared the stale mount" in new_drive.up().stdout
    assert (new_drive.folder / "kept").read_text() == "kept"


KILL_ALL = """
import psutil, sys
found = [p for p in psutil.process_iter(["cmdline"]) if sys.argv[1] in (p.info["cmdline"] or [])
         and "trivet" in p.info["cmdline"]]
reapers = [p.parent() for p in found if "serve" in p.cmdline()]
for process in (*reapers, *found):
    process.kill()
psutil.wait_procs(found, timeout=10)
"""


def test_no_mount_runs_without_a_folder(new_drive: Drive) -> None:
    new_drive.up("--no-mount")
    assert find_mount(new_drive.folder) is None
    assert new_drive.wait_healthy()["healthy"]


def test_foreground_ends_with_ctrl_c(new_drive: Drive, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "trivet",
        "up",
        "--no-gateway",
        *new_drive.where(),
        "--state",
        str(new_drive.state),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
        assert up.stdout is not None
        lines = [up.stdout.readline() for _ in range(2)]
        assert "The drive is in" in lines[1], lines
        (new_drive.folder / "file").write_text("x")
        up.send_signal(signal.SIGINT)
        assert "nothing is left running" in up.stdout.read()
        assert up.wait(20) == 0
    assert new_drive.processes() == []
    assert find_mount(new_drive.folder) is None
