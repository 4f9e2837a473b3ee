"""Copies damaged while everything is down, by kind of file and of damage: all right and whole again.

Rule: two banks may lose any one kind of file, and one bank everything, without a wrong or lost byte.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount
MIB = 1 << 20


def fill(folder: Path, seed: int) -> dict[str, bytes]:
    """Write small, middling and large files; return what they hold by path."""
    made = random.Random(seed)
    contents = {f"d{n % 3}/small{n}": made.randbytes(200 + n * 700) for n in range(12)}
    contents |= {"middling": made.randbytes(300_000), "large": made.randbytes(5 * MIB + 17), "empty": b""}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    os.symlink("large", folder / "link")
    with (folder / "middling").open("rb+") as file:
        file.flush()
        os.fsync(file.fileno())
    return contents


def check(folder: Path, contents: dict[str, bytes]) -> None:
    """Read everything; any wrong byte fails the test."""
    for name, content in contents.items():
        assert (folder / name).read_bytes() == content, f"wrong bytes in {name}"


def files_of(server: Path, kind: str) -> list[Path]:
    """Return the files of one kind (records, segments, journal, all) that a server keeps."""
    files = [path for path in sorted(server.rglob("*")) if path.is_file() and path.suffix != ".log"]
    chosen = [path for path in files if kind == "all" or kind in str(path.relative_to(server))]
    assert chosen, f"{server} keeps no {kind}"
    return chosen


def flip(path: Path) -> None:
    """Flip bits all over the part of a file that holds something."""
    data = bytearray(path.read_bytes())
    used = len(data.rstrip(b"\0"))
    for at in range(used // 50, used, max(1, used // 40)):
        data[at] ^= 0x5A
    with path.open("rb+") as file:
        file.write(data)


def truncate(path: Path) -> None:
    """Cut a file in the middle of what it holds."""
    os.truncate(path, len(path.read_bytes().rstrip(b"\0")) // 2)


def swap_halves(path: Path) -> None:
    """Exchange the two halves of what a file holds."""
    data = path.read_bytes()
    middle = len(data.rstrip(b"\0")) // 2
    with path.open("rb+") as file:
        file.write(data[middle : 2 * middle] + data[:middle])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flip": flip,
    "truncate": truncate,
    "swap": swap_halves,
    "delete": Path.unlink,
}


def damage(drive: Drive, banks: int, kind: str, how: str) -> None:
    """Damage the files of `kind` of the first server of the last `banks` banks."""
    for base in drive.bases[-banks:]:
        for path in files_of(drive.state / f"bank-{base}" / f"server-{base}", kind):
            DAMAGES[how](path)


def come_back(drive: Drive) -> None:
    """Wait until the drive is whole; accept a roll-back only where the drive itself asks for that."""

    def told_or_well(told: dict[str, object]) -> bool:
        return told["healthy"] is True or "--accept-rollback" in str(told["notes"])

    told = drive.wait_status(told_or_well, 60)
    if told["healthy"] is not True:
        drive.trivet("recover", "--accept-rollback", "--yes")
    drive.wait_healthy(60)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[Drive, dict[str, bytes]]]:
    """A drive with one server a bank that holds files, all of them durable."""
    drive = Drive(tmp_path, servers=1)
    try:
        drive.up()
        contents = fill(drive.folder, 7)
        yield drive, contents
    except BaseException:
        print(drive.logs())
        raise
    finally:
        drive.close()


def verify(drive: Drive) -> None:
    """Let the scrub come round; then every copy is read, and the report must say so and find all whole."""
    drive.wait_scrubbed()
    report = json.loads(drive.trivet("verify", "--deep", "--json").stdout)
    assert report["checked_records"] > 100
    assert report["checked_blobs"] > 15
    assert report["checked_bytes"] > 15 * MIB
    drive.assert_proved()


DOWN_CASES = [(2, kind, how) for kind in ("segments", "records", "journal") for how in DAMAGES]
DOWN_CASES += [(1, "all", how) for how in DAMAGES]


@pytest.mark.parametrize(("banks", "kind", "how"), DOWN_CASES)
def test_damage_while_everything_is_down(
    filled: tuple[Drive, dict[str, bytes]], banks: int, kind: str, how: str
) -> None:
    drive, contents = filled
    drive.trivet("down")
    damage(drive, banks, kind, how)
    print(drive.up(expect=None).stderr)
    come_back(drive)
    check(drive.folder, contents)
    verify(drive)
