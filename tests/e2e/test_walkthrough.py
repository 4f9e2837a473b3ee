"""The walk-through: files as people use them, a server killed, a bank lost and brought back empty."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess

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
    for _ in range(2):  # a bank applies an entry once a heartbeat calls it durable: one of two is behind that
        drive.wait_fresh_refresh()
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


@pytest.mark.parametrize(
    ("victims", "durability"),
    [("keeper", "default"), ("bank", "default"), ("both", "default"), ("both", "always")],
)
def test_killed_while_a_tree_is_copied(new_drive: Drive, victims: str, durability: str) -> None:
    """What a close has acknowledged is there; the tree is a prefix of what was done."""
    new_drive.up("--durability", durability)
    done: list[str] = []
    still_open = (new_drive.folder / "synced").open("wb", buffering=0)
    still_open.write(b"synced" * 1000)
    os.fsync(still_open.fileno())
    still_open.write(b"written and never synced")
    for number in range(400):
        folder = new_drive.folder / f"{number // 50:02}"
        try:
            folder.mkdir(exist_ok=True)
            (folder / f"{number:04}").write_text(f"{number}" * 500)
        except OSError:
            assert number > 200
            assert victims != "bank"
            break
        done.append(f"{number:04}")
        if number == 200:
            if victims != "keeper":
                new_drive.kill(new_drive.server_pid(new_drive.bases[1]))
            if victims != "bank":
                new_drive.kill(new_drive.keeper_pid())
    assert len(done) < 400 or victims == "bank"
    with contextlib.suppress(OSError):  # it was opened under the keeper that may be gone
        still_open.close()
    new_drive.wait_healthy()
    assert (new_drive.folder / "synced").read_bytes().startswith(b"synced" * 1000)
    found = sorted(path.name for path in new_drive.folder.glob("*/*"))
    assert found[: len(done)] == done
    assert len(found) <= len(done) + 1
    for name in done:
        body = (new_drive.folder / f"{int(name) // 50:02}" / name).read_text()
        assert body == f"{int(name)}" * 500
