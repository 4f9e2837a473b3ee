"""The folder while banks that were rolled back wait for a decision: what they hold is read, not changed."""

import contextlib
import os
import shutil
from pathlib import Path

import psutil
import pytest

from drive_under_test import Drive, drop_caches
from folders import assert_read_only
from trivet.wire.control_messages import NOT_MOUNTED

pytestmark = pytest.mark.mount
LARGE = os.urandom(3 << 20)


def places(drive: Drive) -> list[Path]:
    """Return the folders of the banks' only servers."""
    return [drive.state / f"bank-{base}" / f"server-{base}" for base in drive.bases]


def keep(folders: list[Path], copies: Path) -> None:
    """Copy `folders` whole."""
    for number, folder in enumerate(folders):
        shutil.copytree(folder, copies / str(number), ignore=shutil.ignore_patterns("*.sock"))


def put(folder: Path, copy: Path) -> None:
    """Exchange a folder for a copy that `keep` made of it."""
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def begin_with(drive: Drive, copies: Path) -> None:
    """Have a drive that is down begin with older copies of all banks: only a person may decide that."""
    for number, place in enumerate(places(drive)):
        put(place, copies / str(number))
    assert "trivet recover --accept-rollback" in drive.up(expect=3).stderr
    drive.wait_old_state()


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_the_old_state_is_read_until_the_newer_copies_are_back(drive: Drive, tmp_path: Path) -> None:
    """Nothing is written to a bank meanwhile, so nothing is missing once the newer folders are there."""
    (drive.folder / "large").write_bytes(LARGE)
    (drive.folder / "kept").write_bytes(b"as it was")
    (drive.folder / "folder").mkdir()
    for number in range(50):
        (drive.folder / "folder" / f"file-{number}").write_bytes(b"%d" % number * 1000)
    drive.trivet("down")
    keep(places(drive), tmp_path / "old")
    drive.up()
    (drive.folder / "later").write_bytes(LARGE)
    (drive.folder / "kept").write_bytes(b"as it is")
    (drive.folder / "folder" / "file-7").unlink()
    drive.trivet("down")
    keep(places(drive), tmp_path / "new")
    begin_with(drive, tmp_path / "old")
    for _ in range(2):
        assert sorted(os.listdir(drive.folder)) == ["folder", "kept", "large"]
        assert (drive.folder / "kept").read_bytes() == b"as it was"
        assert (drive.folder / "large").read_bytes() == LARGE
        for number in range(50):
            assert (drive.folder / "folder" / f"file-{number}").read_bytes() == b"%d" % number * 1000
        drop_caches()
    assert_read_only(drive.folder)
    told = drive.trivet("status", expect=None).stdout
    assert "shows the drive read-only, as it was at slot" in told
    assert "--accept-rollback" in told
    assert NOT_MOUNTED in told  # by this it is known that nothing is served yet: `recover` waits for it

    # The newer copies come back one bank after the other, while the drive is up.
    for number, base in enumerate(drive.bases):
        drive.trivet("stop", str(base))
        put(places(drive)[number], tmp_path / "new" / str(number))
        drive.trivet("start", str(base))
    drive.wait_healthy(60)
    assert sorted(os.listdir(drive.folder)) == ["folder", "kept", "large", "later"]
    assert (drive.folder / "kept").read_bytes() == b"as it is"
    assert not (drive.folder / "folder" / "file-7").exists()
    (drive.folder / "new").write_bytes(b"written")
    drive.trivet("verify", "--deep")


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_the_old_state_becomes_writable_once_it_is_accepted(drive: Drive, tmp_path: Path) -> None:
    """At the same path; who had a file open there reads its bytes or gets an error."""
    (drive.folder / "large").write_bytes(LARGE)
    drive.trivet("down")
    keep(places(drive), tmp_path)
    drive.up()
    (drive.folder / "large").unlink()
    (drive.folder / "later").write_bytes(b"goes")
    drive.trivet("down")
    begin_with(drive, tmp_path)
    file = os.open(drive.folder / "large", os.O_RDONLY)
    assert os.pread(file, 1 << 20, 0) == LARGE[: 1 << 20]
    drive.trivet("recover", "--accept-rollback", "--yes")
    drive.wait_healthy(60)
    with contextlib.suppress(OSError):  # the kernel may have some of it
        assert LARGE[1 << 20 :].startswith(os.pread(file, 1 << 20, 1 << 20) or b"nothing")
    with contextlib.suppress(OSError):  # of a mount that is gone
        os.close(file)
    assert (drive.folder / "large").read_bytes() == LARGE
    (drive.folder / "new").write_bytes(b"written")
    assert sorted(os.listdir(drive.folder)) == ["large", "new"]
    assert "shows the drive read-only" not in drive.trivet("status").stdout
    drive.trivet("verify", "--deep")


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_what_banks_had_not_applied_is_there(drive: Drive, tmp_path: Path) -> None:
    """Copies of machines that were switched off: the newest of the old state may be in the journals only."""
    stored = {f"file-{number}": b"%03d" % number * 3000 for number in range(200)}
    for name, body in stored.items():
        (drive.folder / name).write_bytes(body)
    victims = drive.processes()
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):  # it followed its supervisor
            victim.kill()
    assert not psutil.wait_procs(victims, timeout=10)[1]
    keep(places(drive), tmp_path)
    drive.up()
    assert {one.name: one.read_bytes() for one in drive.folder.iterdir()} == stored
    shutil.rmtree(drive.folder, ignore_errors=True)
    drive.trivet("down")
    begin_with(drive, tmp_path)
    assert {one.name: one.read_bytes() for one in drive.folder.iterdir()} == stored
    drive.trivet("recover", "--accept-rollback", "--yes")
    drive.wait_healthy(60)
    assert {one.name: one.read_bytes() for one in drive.folder.iterdir()} == stored


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_it_is_taken_away_with_the_drive(drive: Drive, tmp_path: Path) -> None:
    """`trivet down` ends it; nothing stays mounted, and no bank's files have changed but for its promise."""
    (drive.folder / "large").write_bytes(LARGE)
    drive.trivet("down")
    keep(places(drive), tmp_path)
    drive.up()
    (drive.folder / "later").write_bytes(b"goes")
    drive.trivet("down")
    begin_with(drive, tmp_path)
    assert (drive.folder / "large").read_bytes() == LARGE
    drive.trivet("down")
    assert os.listdir(drive.folder) == []
    for number, place in enumerate(places(drive)):
        for kept in (tmp_path / str(number) / "segments").iterdir():
            assert (place / "segments" / kept.name).read_bytes() == kept.read_bytes()
