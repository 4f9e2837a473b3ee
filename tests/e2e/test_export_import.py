"""trivet export and import on a real drive: what goes out comes in again, and GNU tar reads it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from drive_under_test import Drive, running_drive

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices need root")
T_NS = 1_234_567_890_123_456_789


def trivet(
    drive: Drive, *words: str, stdin: bytes = b"", expect: int = 0
) -> subprocess.CompletedProcess[bytes]:
    """Run a command whose input or output are bytes."""
    command = [sys.executable, "-m", "trivet", *words, "--state", str(drive.state)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=90)
    assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stderr.decode()}"
    return done


def make_tree(top: Path) -> None:
    """Make a folder with one of everything a file system has."""
    (top / "deep" / "er").mkdir(parents=True)
    (top / "empty folder").mkdir(mode=0o700)
    (top / "empty").write_bytes(b"")
    (top / "small").write_bytes(b"small " * 100)
    (top / "deep" / "large").write_bytes(os.urandom((3 << 20) + 12_345))
    (top / "deep" / ("long " * 40)).write_bytes(b"a long name")
    (top / "deep" / "er" / "\udcff\n name").write_bytes(b"no UTF-8")
    os.link(top / "deep" / "large", top / "second")
    os.link(top / "deep" / "large", top / "deep" / "er" / "third")
    (top / "link").symlink_to("deep/no such")
    os.mkfifo(top / "fifo")
    os.mknod(top / "device", stat.S_IFCHR | 0o640, os.makedev(1, 7))
    with (top / "holes").open("wb") as file:
        file.truncate(300 << 20)
        for place in (5_000, 7 << 20, (300 << 20) - 3):
            file.seek(place)
            file.write(b"xyz")
    (top / "tail of holes").write_bytes(b"begin")
    os.truncate(top / "tail of holes", 10 << 20)
    os.setxattr(top / "small", "user.colour", b"\x00\xffblue\n")
    os.setxattr(top / "deep", "user.large", b"v" * 1000)
    os.chmod(top / "small", 0o4751)
    os.chown(top / "small", 1234, 70_000, follow_symlinks=False)
    os.chmod(top / "small", 0o4751)
    os.chown(top / "link", 4321, 4321, follow_symlinks=False)
    for number, path in enumerate([*sorted(top.rglob("*"), reverse=True), top]):
        os.utime(path, ns=(T_NS + number, T_NS + number * 1_000_000_007), follow_symlinks=False)


def picture(top: Path) -> dict[str, tuple[object, ...]]:
    """Return everything that can be told of a tree but its times of access and status change."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        name = str(path.relative_to(top))
        told = path.lstat()
        body: object = None
        if stat.S_ISREG(told.st_mode):
            body = path.read_bytes() if told.st_size < 8 << 20 else (told.st_size, told.st_blocks < 10_000)
        elif path.is_symlink():
            body = os.readlink(path)
        xattrs = {}
        if not path.is_symlink():
            xattrs = {key: os.getxattr(path, key) for key in os.listxattr(path)}
        same = first.setdefault(told.st_ino, name)
        found[name] = (
            told.st_mode, told.st_uid, told.st_gid, told.st_rdev, told.st_nlink, told.st_mtime_ns,
            body, xattrs, same,
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def tree(lone_drive: Drive) -> Path:
    """A tree in the drive."""
    top = lone_drive.folder / "tree of export"
    top.mkdir()
    make_tree(top)
    return top


@pytest.fixture(scope="module")
def archive(lone_drive: Drive, tree: Path) -> bytes:
    """That tree as a tar."""
    return trivet(lone_drive, "export", str(tree)).stdout


def test_gnu_tar_makes_the_same_tree_of_an_export(archive: bytes, tree: Path, tmp_path: Path) -> None:
    command = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", "-", "-C", str(tmp_path)]
    done = subprocess.run(command, input=archive, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert picture(tmp_path) == picture(tree)
    assert len(archive) < 12 << 20, "holes were written out"


def test_an_export_comes_in_as_it_was(lone_drive: Drive, archive: bytes, tree: Path) -> None:
    back = lone_drive.folder / "came back"
    back.mkdir()
    told = trivet(lone_drive, "import", "-", "--into", str(back), stdin=archive).stdout.decode()
    assert "imported 10 files, 4 folders, 2 further names" in told
    mine, theirs = picture(back), picture(tree)
    del mine["."], theirs["."]
    assert mine == theirs
    assert (back / "device").stat().st_atime_ns == (tree / "device").stat().st_atime_ns

    again = trivet(lone_drive, "import", "-", "--into", str(back), stdin=archive, expect=2).stderr.decode()
    assert "nothing was written" in again
    assert "--overwrite" in again
    assert picture(back).keys() - {"."} == theirs.keys()
    (back / "small").write_bytes(b"changed")
    (back / "link").unlink()
    (back / "link").mkdir()
    trivet(lone_drive, "import", "-", "--into", str(back), "--overwrite", stdin=archive)
    mine = picture(back)
    for name in ("small", "link", "deep/large", "holes"):
        assert mine[name] == theirs[name]


def test_an_archive_of_gnu_tar_comes_in(lone_drive: Drive, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    for number, options in enumerate(
        (["--format=posix", "--sparse", "--xattrs"], ["--format=gnu", "-z", "-S"])
    ):
        made = subprocess.run(["tar", *options, "-cf", "-", "-C", str(source), "."], stdout=subprocess.PIPE)
        target = lone_drive.folder / f"of tar {number}"
        target.mkdir()
        trivet(lone_drive, "import", "-", "--into", str(target), stdin=made.stdout)
        for name, (mode, uid, gid, rdev, _nlink, mtime_ns, body, xattrs, _same) in picture(source).items():
            if name == ".":
                continue
            mine = picture(target)[name] if number == 0 else None
            if mine is not None:
                assert mine[:4] == (mode, uid, gid, rdev), name
                assert mine[5:8] == (mtime_ns, body, xattrs), name
            else:
                told = (target / name).lstat()
                assert (told.st_mode, told.st_mtime_ns // 10**9) == (mode, int(str(mtime_ns)) // 10**9)


def test_an_archive_that_is_cut_off_leaves_nothing_behind(lone_drive: Drive, archive: bytes) -> None:
    target = lone_drive.folder / "broken"
    target.mkdir()
    done = trivet(
        lone_drive, "import", "-", "--into", str(target), stdin=archive[: len(archive) // 2], expect=2
    )
    said = done.stderr.decode()
    assert "nothing was written" in said
    assert "'second' is not there whole" in said
    assert "Traceback" not in said
    assert os.listdir(target) == []
    trivet(
        lone_drive, "import", "-", "--into", str(target), stdin=archive
    )  # what was cut off is no hindrance
    assert len(os.listdir(target)) == 10


def test_a_store_is_opened_by_another_drive(
    lone_drive: Drive, tree: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = str(tmp_path / "store")
    lone_drive.trivet("snapshot", "create", "for the store")
    first = lone_drive.trivet(
        "export", str(tree), "--store", store, "--tree", "a", "--snapshot", "for the store"
    )
    assert " 0 were there" in first.stderr
    again = lone_drive.trivet("export", str(tree), "--store", store)
    assert " 0 new pieces" in again.stderr, "the tree of the snapshot is that of today"
    lone_drive.trivet("snapshot", "remove", "for the store")
    with running_drive(tmp_path_factory.mktemp("another"), 1) as another:
        another.trivet("import", "--store", store)
        mine, theirs = picture(another.folder), picture(tree)
        del mine["."], theirs["."]
        assert mine == theirs
