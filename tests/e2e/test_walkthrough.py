"""The walk-through: files as people use them, a server killed, a bank lost and brought back empty."""

import os
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from drive_under_test import Drive, drop_caches

pytestmark = pytest.mark.mount
FIRST_STEPS = """
cd "$1"
echo "test" > test
[ "$(cat test)" = test ]
[ "$(ls)" = test ]
ln -s test file
[ "$(cat file)" = test ]
unlink file
ln -s test file
rm test
[ "$(ls)" = file ]                      # the link is left dangling
! cat file 2>/dev/null
[ "$(readlink file)" = test ]
mkdir d
echo "Hi" > hi
mv hi li
cp li ji
[ "$(ls -ltr | tail -n 1 | awk '{print $NF}')" = ji ]
touch hi
chmod 0777 hi
[ "$(stat -c %a hi)" = 777 ]
echo more >> li
[ "$(cat li)" = "$(printf 'Hi\\nmore')" ]
mv ji li                                # over a file that is there
[ "$(cat li)" = Hi ]
ln li second
[ "$(stat -c %h li)" = 2 ]
rm second
truncate -s 100 hi
[ "$(stat -c %s hi)" = 100 ]
mkdir d/e
! rmdir d 2>/dev/null
rmdir d/e
ls -la | grep -q ' \\.\\.$'
df . | grep -q trivet
"""
READ_AND_WRITE = """
cd "$1"
[ "$(cat li)" = Hi ]
[ "$(readlink file)" = test ]
echo "$2" > "new-$2"
[ "$(cat "new-$2")" = "$2" ]
mv "new-$2" "old-$2"
mkdir "dir-$2"
ls -la > /dev/null
"""


def shell(script: str, *words: object) -> None:
    """Run a script step by step; the first step that fails fails the test."""
    done = subprocess.run(
        ["bash", "-e", "-u", "-x", "-c", script, "script", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def rows(drive: Drive, base: int) -> dict[bytes, tuple[int, bytes]]:
    """Return the records a bank has stored (the drive is down): key -> (slot, value)."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for port in drive.ports_of(base):
        path = drive.state / f"bank-{base}" / f"server-{port}" / "records.sqlite"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as table:
            found.update({bytes(k): (s, bytes(v)) for k, s, v in table.execute(RECORDS)})
    return found


RECORDS = "SELECT key, slot, value FROM records"


@pytest.mark.parametrize("drive", [1, 2, 3], indirect=True)
def test_walkthrough(drive: Drive) -> None:
    first, middle, last = drive.bases
    shell(FIRST_STEPS, drive.folder)
    big = os.urandom(3_000_000)
    (drive.folder / "big").write_bytes(big)

    drive.kill(drive.server_pid(middle), signal.SIGTERM)
    shell(READ_AND_WRITE, drive.folder, "one-server-killed")
    drive.wait_healthy()

    drive.trivet("stop", str(last))
    assert {s["state"] for s in drive.status()["banks"][2]["servers"]} == {"stopped"}
    shell(READ_AND_WRITE, drive.folder, "bank-stopped")
    drop_caches()
    assert (drive.folder / "big").read_bytes() == big
    assert drive.status()["healthy"] is False

    shutil.rmtree(drive.state / f"bank-{last}")
    drive.trivet("start", str(last))
    drive.wait_status(lambda told: all(s["state"] == "up" for s in told["banks"][2]["servers"]))
    drive.put(last, b"/timestamp", b"server9000")
    drive.wait_healthy()
    drive.wait_fresh_refresh()
    assert drive.get(last, b"/timestamp") == b"server9000"
    assert "timestamp" not in os.listdir(drive.folder)
    drive.trivet("verify", "--deep")

    # What the bank got back is whole: it serves alone with the middle one, the first bank away.
    drive.trivet("stop", str(first))
    drop_caches()
    assert (drive.folder / "big").read_bytes() == big
    shell(READ_AND_WRITE, drive.folder, "other-bank-stopped")
    drive.trivet("start", str(first))
    drive.wait_healthy()
    drive.trivet("down")
    assert rows(drive, first) == rows(drive, middle) == rows(drive, last) != {}


def test_everything_is_there_after_down_and_up(drive: Drive) -> None:
    shell(FIRST_STEPS, drive.folder)
    before = {p.name: p.lstat().st_mtime_ns for p in drive.folder.iterdir()}
    drive.trivet("down")
    assert os.listdir(drive.folder) == []
    drive.up()
    assert {p.name: p.lstat().st_mtime_ns for p in drive.folder.iterdir()} == before
    shell(READ_AND_WRITE, drive.folder, "again")


def test_keeper_killed_while_a_tree_is_copied(drive: Drive, tmp_path: Path) -> None:
    """What a close has acknowledged is there; the tree is a prefix of what was done."""
    names = [f"{n:04}" for n in range(3000)]
    done: list[str] = []
    killed = False
    for name in names:
        try:
            (drive.folder / name).write_text(name * 50)
        except OSError:
            assert killed, "an error before anything was killed"
            break
        done.append(name)
        if len(done) == 200:
            drive.kill(drive.keeper_pid())
            killed = True
    assert killed
    drive.wait_healthy()
    found = sorted(os.listdir(drive.folder))
    assert found[: len(done)] == done
    assert len(found) <= len(done) + 1
    for name in done:
        assert (drive.folder / name).read_text() == name * 50
