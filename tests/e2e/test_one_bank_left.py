"""Two banks lost whole, state files and all: loud, until the owner lets the one left make them anew."""

import os
import shutil
from pathlib import Path

import pytest

from drive_under_test import Drive, drop_caches

pytestmark = pytest.mark.mount


def fill(folder: Path) -> dict[str, bytes]:
    """Write files of every kind; return what they hold."""
    made = {f"d/small{n}": os.urandom(300 + 900 * n) for n in range(10)}
    made |= {"large": os.urandom(3_000_001), "middling": os.urandom(200_000)}
    (folder / "d").mkdir()
    for name, body in made.items():
        (folder / name).write_bytes(body)
    os.setxattr(folder / "large", "user.note", b"kept")
    number = os.open(folder, os.O_RDONLY)
    os.fsync(number)
    os.close(number)
    return made


def lose(drive: Drive, how: str) -> None:
    """Delete the folders of two banks, or let them change places."""
    one, other = (drive.state / f"bank-{base}" for base in drive.bases[1:])
    if how == "deleted":
        shutil.rmtree(one)
        shutil.rmtree(other)
        return
    first, second = (bank / f"server-{bank.name.removeprefix('bank-')}" for bank in (one, other))
    first.rename(drive.state / "aside")
    second.rename(first)
    (drive.state / "aside").rename(second)


@pytest.mark.parametrize("how", ["deleted", "exchanged"])
def test_two_banks_lost_whole(new_drive: Drive, how: str) -> None:
    new_drive.up()
    made = fill(new_drive.folder)
    new_drive.wait_healthy()
    new_drive.trivet("down")
    lose(new_drive, how)
    told = new_drive.up(expect=3).stderr
    assert "NoMajority" in told
    assert f"bank {new_drive.bases[0]}" in told
    assert "trivet recover --accept-rollback" in told
    new_drive.assert_nothing_is_shown()
    asked = new_drive.trivet("recover", "--accept-rollback", "--dry-run", expect=1).stdout
    assert "no second copy" in asked
    assert new_drive.status()["healthy"] is False
    done = new_drive.trivet("recover", "--accept-rollback", "--yes").stdout
    assert done.index("What would go:") < done.index("Gone:") < done.index("serves again")
    check(new_drive.folder, made)
    new_drive.wait_healthy(60)
    drop_caches()
    check(new_drive.folder, made)
    new_drive.wait_scrubbed()
    new_drive.trivet("verify", "--deep")
    # What was made anew is as good as what it was made from.
    new_drive.trivet("stop", str(new_drive.bases[0]))
    drop_caches()
    check(new_drive.folder, made)
    (new_drive.folder / "after").write_text("after")


def check(folder: Path, made: dict[str, bytes]) -> None:
    """Read everything; any wrong byte fails the test."""
    for name, body in made.items():
        assert (folder / name).read_bytes() == body, f"wrong bytes in {name}"
    assert os.getxattr(folder / "large", "user.note") == b"kept"
