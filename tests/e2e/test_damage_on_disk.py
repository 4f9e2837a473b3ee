"""Files under banks' state folders spoiled: right bytes or a loud error, never wrong bytes; then repaired.

Rule: every case reads three times: as the kernel has it, after the caches were dropped, and after kill -9 of
the keeper with the damage done anew.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drive_under_test import Drive, drop_caches, running_drive
from file_damage import cut, drop, empty, garbage, speckle
from trivet.io.mount_table import find_mount

pytestmark = pytest.mark.mount
EIO_RETRY_S = 40
OFTEN = ("--refresh", "0.5")
Damage = Callable[[Path], None]
Content = dict[str, bytes]


@pytest.fixture(scope="module")
def damaged_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A drive with one server a bank, spoiled by one test after the other."""
    with running_drive(tmp_path_factory.mktemp("damaged"), 1, *OFTEN) as drive:
        yield drive
        print(drive.logs())


@pytest.fixture
def content(damaged_drive: Drive) -> Content:
    """New content of every kind: pages, blobs, names, a link; whole on all banks."""
    made = {f"small-{n}": os.urandom(1000 + n * 997) for n in range(8)}
    made["large"] = os.urandom(2_500_000)
    for name, body in made.items():
        (damaged_drive.folder / name).write_bytes(body)
    number = os.open(damaged_drive.folder, os.O_RDONLY)
    os.fsync(number)
    os.close(number)
    damaged_drive.wait_healthy()
    return made


def own(drive: Drive, base: int) -> Path:
    """Return the folder of a bank's only server."""
    return drive.state / f"bank-{base}" / f"server-{base}"


def spoil(drive: Drive, base: int, place: str, damage: Damage) -> None:
    """Damage every file of a server that matches one of the patterns of `place`."""
    paths = [path for pattern in place.split() for path in own(drive, base).glob(pattern) if path.is_file()]
    assert paths, f"nothing to spoil at {place}"
    for path in paths:
        damage(path)


def assert_right(drive: Drive, content: Content) -> None:
    """Read everything: right bytes each; a loud error is asked again until the drive is back."""
    until = time.monotonic() + EIO_RETRY_S
    for name, body in content.items():
        while (found := body_or_none(drive, name)) is None:
            assert time.monotonic() < until, f"{name} stays unreadable"
            time.sleep(0.2)
        assert found == body, f"wrong bytes in {name}"


def body_or_none(drive: Drive, name: str) -> bytes | None:
    """Return what the file holds, None for a loud error: EIO, or no drive mounted just now."""
    try:
        return (drive.folder / name).read_bytes()
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOTCONN, errno.ECONNABORTED):
            return None
        # Root's drives have a guard below, which never says of a file that it does not exist.
        if error.errno != errno.ENOENT or os.geteuid() == 0 or find_mount(drive.folder):
            raise
        return None


def wait_for_files(drive: Drive) -> None:
    """Wait until every server has all its files again, and everything is whole."""
    until = time.monotonic() + 30
    names = ("records.sqlite", "state", "segments/*", "journal/*.log")
    places = [(base, name) for base in drive.bases for name in names]
    while missing := [(base, name) for base, name in places if not [*own(drive, base).glob(name)]]:
        assert time.monotonic() < until, missing
        time.sleep(0.05)
    drive.wait_healthy(60)


def read_three_times(drive: Drive, content: Content, spoil_all: Callable[[], None]) -> None:
    """Spoil and read, warm and cold; spoil anew, kill the keeper, and read; each time wait for the repair."""
    spoil_all()
    assert_right(drive, content)
    drop_caches()
    assert_right(drive, content)
    drive.wait_fresh_refresh()
    # A table deleted under a server is made anew when the server next applies something.
    (drive.folder / "something").write_bytes(os.urandom(10))
    wait_for_files(drive)
    spoil_all()
    drive.kill(drive.keeper_pid())
    assert_right(drive, content)
    drive.wait_healthy(60)
    drive.wait_scrubbed()
    drive.trivet("verify", "--deep")
    drive.assert_proved()


RUNNING: list[tuple[str, Damage, int]] = [
    ("segments/*", cut, 1),
    ("segments/*", drop, 2),
    ("records.sqlite", speckle, 2),
    ("records.sqlite", drop, 1),
    ("journal/*.log", empty, 1),
]
STOPPED: list[tuple[str, Damage, int]] = [
    ("segments/* records.sqlite", garbage, 2),
    ("journal/*.log", speckle, 1),
    ("state", garbage, 1),
]


def named(case: tuple[str, Damage, int]) -> str:
    return f"{case[1].__name__}-{case[0].translate({47: '-', 32: '-'})}-in-{case[2]}"


@pytest.mark.parametrize("case", RUNNING, ids=named)
def test_spoiled_under_running_servers(
    damaged_drive: Drive, content: Content, case: tuple[str, Damage, int]
) -> None:
    place, damage, banks = case

    def spoil_all() -> None:
        for base in damaged_drive.bases[:banks]:
            spoil(damaged_drive, base, place, damage)

    read_three_times(damaged_drive, content, spoil_all)


@pytest.mark.parametrize("case", STOPPED, ids=named)
def test_spoiled_while_stopped(damaged_drive: Drive, content: Content, case: tuple[str, Damage, int]) -> None:
    place, damage, banks = case

    def spoil_all() -> None:
        for base in damaged_drive.bases[:banks]:
            damaged_drive.trivet("stop", str(base))
            spoil(damaged_drive, base, place, damage)
            damaged_drive.trivet("start", str(base))

    read_three_times(damaged_drive, content, spoil_all)


@pytest.mark.parametrize("names", [("records.sqlite", "segments"), ("journal",)])
def test_files_of_two_banks_change_places(
    damaged_drive: Drive, content: Content, names: tuple[str, ...]
) -> None:
    first, second = (own(damaged_drive, base) for base in damaged_drive.bases[:2])
    damaged_drive.trivet("down")
    for name in names:
        (first / name).rename(first / "aside")
        (second / name).rename(first / name)
        (first / "aside").rename(second / name)
    if damaged_drive.up(*OFTEN, expect=None).returncode:
        # Journals that were cut or begun anew before do not fit another server: then two are gone at once.
        assert "--accept-rollback" in str(damaged_drive.status()["notes"])
        damaged_drive.trivet("recover", "--accept-rollback", "--yes")
    assert_right(damaged_drive, content)
    damaged_drive.wait_fresh_refresh()
    damaged_drive.wait_healthy(60)


def test_one_bank_rolled_back(damaged_drive: Drive, content: Content, tmp_path: Path) -> None:
    base = damaged_drive.bases[1]
    damaged_drive.trivet("stop", str(base))
    shutil.copytree(own(damaged_drive, base), tmp_path / "old")
    damaged_drive.trivet("start", str(base))
    newer = {**content, "small-1": b"newer", "added": b"added later"}
    for name in ("small-1", "added"):
        (damaged_drive.folder / name).write_bytes(newer[name])
    (damaged_drive.folder / "small-7").unlink()
    del newer["small-7"]
    damaged_drive.wait_healthy()
    damaged_drive.trivet("stop", str(base))
    shutil.rmtree(own(damaged_drive, base))
    shutil.copytree(tmp_path / "old", own(damaged_drive, base))
    damaged_drive.trivet("start", str(base))
    drop_caches()
    assert_right(damaged_drive, newer)
    assert not (damaged_drive.folder / "small-7").exists()
    damaged_drive.wait_healthy(60)
    damaged_drive.kill(damaged_drive.keeper_pid())
    assert_right(damaged_drive, newer)
    assert not (damaged_drive.folder / "small-7").exists()
    damaged_drive.wait_healthy(60)


def test_damage_while_a_bank_stays_away(damaged_drive: Drive, content: Content) -> None:
    """One bank down for two refresh periods, the copies of another spoiled: the third is enough."""
    first, second, _ = damaged_drive.bases
    damaged_drive.trivet("stop", str(second))
    try:
        spoil(damaged_drive, first, "segments/*", speckle)
        for _ in range(2):
            damaged_drive.wait_fresh_refresh()
            drop_caches()
            assert_right(damaged_drive, content)
        assert damaged_drive.status()["healthy"] is False
    finally:
        damaged_drive.trivet("start", str(second))
    damaged_drive.wait_healthy(60)
    damaged_drive.wait_scrubbed(since=time.monotonic())
    damaged_drive.trivet("verify", "--deep")


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_two_banks_rolled_back_whole(drive: Drive, tmp_path: Path) -> None:
    """Nobody may say which state is the last: loud, until the owner accepts the loss."""
    (drive.folder / "before").write_bytes(b"stays")
    drive.trivet("down")
    rolled = drive.bases[:2]
    for base in rolled:
        shutil.copytree(own(drive, base), tmp_path / str(base))
    drive.up()
    with (drive.folder / "later").open("wb") as file:
        file.write(b"may go")
        os.fsync(file.fileno())
    drive.trivet("down")
    for base in rolled:
        shutil.rmtree(own(drive, base))
        shutil.copytree(tmp_path / str(base), own(drive, base))
    told = drive.up(expect=3).stderr
    assert "NoMajority" in told
    assert "trivet recover --accept-rollback" in told
    drive.wait_old_state()
    assert sorted(os.listdir(drive.folder)) == ["before", "later"]
    assert drive.status()["healthy"] is False
    # The third bank still holds everything: it is kept, in one copy at first.
    asked = drive.trivet("recover", expect=1).stdout
    assert "trivet recover --accept-rollback" in asked
    assert "later" not in asked
    told = drive.trivet("recover", "--accept-rollback").stdout
    assert told.index("What would go:") < told.index("Gone:") < told.index("serves again")
    drive.wait_healthy(60)
    assert (drive.folder / "before").read_bytes() == b"stays"
    assert sorted(os.listdir(drive.folder)) == ["before", "later"]
    assert "Nothing to recover from" in drive.trivet("recover", "--accept-rollback").stdout


@pytest.mark.parametrize("drive", [1], indirect=True)
def test_all_banks_rolled_back(drive: Drive, tmp_path: Path) -> None:
    """Nobody holds what was done since, but the keeper wrote down what it was."""
    (drive.folder / "before").write_bytes(b"stays")
    (drive.folder / "old name").write_bytes(b"stays")
    drive.trivet("down")
    for base in drive.bases:
        shutil.copytree(own(drive, base), tmp_path / str(base))
    drive.up()
    (drive.folder / "later").write_bytes(b"goes")
    (drive.folder / "old name").rename(drive.folder / "new name")
    (drive.folder / "before").unlink()
    drive.trivet("down")
    for base in drive.bases:
        shutil.rmtree(own(drive, base))
        shutil.copytree(tmp_path / str(base), own(drive, base))
    assert "trivet recover --accept-rollback" in drive.up(expect=3).stderr
    drive.wait_old_state()
    assert sorted(os.listdir(drive.folder)) == ["before", "old name"]
    for options in ((), ("--accept-rollback", "--dry-run")):
        told = drive.trivet("recover", *options, expect=1).stdout
        assert "created  /later (slot " in told
        assert "renamed  /old name -> /new name (slot " in told
        assert "removed  /before (slot " in told
    report = json.loads(drive.trivet("recover", "--json", expect=1).stdout)
    assert [one["what"] for one in report["operations"]] == ["created", "renamed", "removed"]
    drive.trivet("recover", "--accept-rollback", "--yes")
    assert sorted(os.listdir(drive.folder)) == ["before", "old name"]
    drive.wait_healthy(60)
