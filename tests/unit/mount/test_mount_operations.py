"""The mount's door over a real /dev/fuse: every operation arrives, every refusal keeps its errno."""

import ctypes
import errno
import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounted_volume import RecordedVolume, Served, served

from memory_ports import MemoryBanks
from trivet.volume.interface import AttributeChanges

pytestmark = pytest.mark.mount
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
MIB = 1 << 20


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    # Not pytest's own folder, which other users may not enter: one test is another user.
    with tempfile.TemporaryDirectory(prefix="trivet-") as place:
        Path(place).chmod(0o755)
        banks = MemoryBanks()
        with served(banks, Path(place)) as running:
            yield running
        banks.audit()


@pytest.fixture
def mount(running: Served) -> Path:
    return running.folder


@pytest.fixture
def volume(running: Served) -> RecordedVolume:
    running.volume.calls.clear()
    return running.volume


@pytest.fixture
def folder(mount: Path, request: pytest.FixtureRequest, volume: RecordedVolume) -> Path:
    made = mount / request.node.name[:200].replace("/", "_")
    made.mkdir()
    return made


def renameat2(old: Path, new: Path, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def test_bytes_come_back_and_append_goes_to_the_end(folder: Path) -> None:
    file = folder / "file"
    file.write_bytes(b"one\n")
    with file.open("ab") as more:
        more.write(b"two\n")
    assert file.read_bytes() == b"one\ntwo\n"
    file.write_bytes(b"x")
    assert file.read_bytes() == b"x"
    assert file.stat().st_size == 1


def test_close_is_a_flush_and_fsync_is_asked_for(folder: Path, volume: RecordedVolume) -> None:
    with (folder / "file").open("wb") as file:
        file.write(b"x")
        file.flush()
        os.fsync(file.fileno())
    ino = (folder / "file").stat().st_ino
    assert volume.calls.count(("fsync", ino)) == 1
    assert volume.calls.index(("fsync", ino)) < volume.calls.index(("flush", ino))
    number = os.open(folder, os.O_RDONLY)
    os.fsync(number)
    os.close(number)
    assert ("fsyncdir", folder.stat().st_ino) in volume.calls


def test_open_flags_reach_the_volume(folder: Path, volume: RecordedVolume) -> None:
    (folder / "file").write_bytes(b"abc")
    ino = (folder / "file").stat().st_ino
    for flags, told in {
        os.O_RDONLY: (False, False, False),
        os.O_RDWR: (True, False, False),
        os.O_WRONLY | os.O_TRUNC: (True, True, False),
        os.O_WRONLY | os.O_SYNC: (True, False, True),
        os.O_WRONLY | os.O_DSYNC: (True, False, True),
    }.items():
        volume.calls.clear()
        os.close(os.open(folder / "file", flags))
        assert ("open", ino, *told) in volume.calls
    os.close(os.open(folder / "new", os.O_CREAT | os.O_WRONLY | os.O_SYNC))
    new = (folder / "new").stat().st_ino
    assert ("fsync", new) in volume.calls
    assert ("open", new, True, False, True) in volume.calls


def test_large_writes_come_as_mebibytes(folder: Path, volume: RecordedVolume) -> None:
    data = os.urandom(3 * MIB)
    number = os.open(folder / "file", os.O_CREAT | os.O_WRONLY)
    assert os.write(number, data) == len(data)
    os.close(number)
    writes = [(call[2], len(call[3])) for call in volume.calls if call[0] == "write"]
    assert writes == [(n * MIB, MIB) for n in range(3)]
    assert (folder / "file").read_bytes() == data


def test_attributes_change_and_show(folder: Path, volume: RecordedVolume) -> None:
    file = folder / "file"
    file.touch()
    file.chmod(0o640)
    os.utime(file, ns=(1_234_567_890_123_456_789, -1_500_000_000))
    seen = file.stat()
    assert stat.S_IMODE(seen.st_mode) == 0o640
    assert (seen.st_atime_ns, seen.st_mtime_ns) == (1_234_567_890_123_456_789, -1_500_000_000)
    with file.open("r+b") as opened:
        opened.truncate(10_000)
        handles = [c[3] for c in volume.calls if c[0] == "setattr" and c[2] == AttributeChanges(size=10_000)]
    assert len(handles) == 1
    assert isinstance(handles[0], int)
    assert (file.stat().st_size, file.stat().st_blocks) == (10_000, 0), "a hole"
    if os.geteuid() == 0:
        os.chown(file, 12, 34)
        assert (file.stat().st_uid, file.stat().st_gid) == (12, 34)


def test_links_of_both_kinds(folder: Path) -> None:
    (folder / "one").write_text("text")
    os.link(folder / "one", folder / "two")
    os.symlink("nowhere/at all", folder / "soft")
    assert (folder / "one").stat().st_nlink == 2
    assert os.readlink(folder / "soft") == "nowhere/at all"
    (folder / "one").unlink()
    assert (folder / "two").read_text() == "text"
    assert (folder / "two").stat().st_nlink == 1


def test_rename_replaces_exchanges_or_refuses(folder: Path) -> None:
    one, two = folder / "one", folder / "two"
    one.write_text("1")
    two.write_text("2")
    renameat2(one, two, RENAME_EXCHANGE)
    assert (one.read_text(), two.read_text()) == ("2", "1")
    with pytest.raises(FileExistsError):
        renameat2(one, two, RENAME_NOREPLACE)
    with pytest.raises(OSError, match=r"supported|Invalid") as refused:
        renameat2(one, two, RENAME_WHITEOUT)
    assert refused.value.errno in (errno.ENOTSUP, errno.EINVAL)
    one.rename(two)
    assert two.read_text() == "2"
    assert os.listdir(folder) == ["two"]


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 1000])
def test_listings_are_whole(folder: Path, count: int) -> None:
    names = {f"{n:04}-{'n' * (n % 200)}" for n in range(count)}
    for name in names:
        (folder / name).touch()
    assert set(os.listdir(folder)) == names
    told = subprocess.run(["ls", "-f", folder], capture_output=True, check=True, text=True).stdout.split()
    assert sorted(told) == sorted([*names, ".", ".."])


def test_names_of_any_bytes(folder: Path) -> None:
    names = {b"new\nline", b"\xff\xfe", b"n" * 255, "ä".encode(), b" ", b"-rf", b"\\"}
    for name in names:
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(name)
    assert set(os.listdir(os.fsencode(folder))) == names
    with pytest.raises(OSError, match="too long") as refused:
        (folder / ("n" * 256)).touch()
    assert refused.value.errno == errno.ENAMETOOLONG


def test_extended_attributes(folder: Path) -> None:
    file = folder / "file"
    file.touch()
    with pytest.raises(OSError, match="No data") as refused:
        os.getxattr(file, "user.a")
    assert refused.value.errno == errno.ENODATA
    os.setxattr(file, "user.a", b"\0value")
    os.setxattr(file, "user.empty", b"")
    assert os.getxattr(file, "user.a") == b"\0value"
    assert set(os.listxattr(file)) == {"user.a", "user.empty"}
    with pytest.raises(FileExistsError):
        os.setxattr(file, "user.a", b"", os.XATTR_CREATE)
    with pytest.raises(OSError, match="No data"):
        os.setxattr(file, "user.b", b"", os.XATTR_REPLACE)
    os.removexattr(file, "user.a")
    assert os.listxattr(file) == ["user.empty"]


def test_open_files_outlive_their_name(folder: Path) -> None:
    with (folder / "file").open("w+b") as file:
        file.write(b"still here")
        (folder / "file").unlink()
        assert os.listdir(folder) == []
        assert os.fstat(file.fileno()).st_nlink == 0
        file.seek(0)
        assert file.read() == b"still here"


def test_holes_read_as_zeros(folder: Path) -> None:
    with (folder / "file").open("wb") as file:
        file.seek(5 * MIB)
        file.write(b"end")
    assert (folder / "file").read_bytes() == bytes(5 * MIB) + b"end"


def test_refusals_keep_their_errno(folder: Path) -> None:
    (folder / "full").mkdir()
    (folder / "full" / "file").touch()
    with pytest.raises(OSError, match="not empty"):
        (folder / "full").rmdir()
    with pytest.raises(FileExistsError):
        (folder / "full").mkdir()
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()


def test_what_is_not_supported_says_so(folder: Path) -> None:
    with (folder / "file").open("wb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.fallocate(file.fileno(), 1, ctypes.c_long(0), ctypes.c_long(100)) == -1
        assert ctypes.get_errno() == errno.EOPNOTSUPP
    with pytest.raises(OSError, match="supported") as refused:
        os.open(folder, os.O_TMPFILE | os.O_RDWR)
    assert refused.value.errno == errno.EOPNOTSUPP


def test_space_and_read_ahead(mount: Path) -> None:
    space = os.statvfs(mount)
    assert space.f_blocks * space.f_frsize == 1 << 40
    assert space.f_bavail * space.f_frsize == 1 << 39
    assert space.f_namemax == 255
    device = mount.stat().st_dev
    if os.geteuid() == 0:
        told = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb").read_text()
        assert told.strip() == "1024"


def test_fifo_and_permissions(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    if os.geteuid() == 0:
        (folder / "secret").write_text("no")
        (folder / "secret").chmod(0o600)
        done = subprocess.run(["cat", folder / "secret"], capture_output=True, user=65534, group=65534)
        assert b"denied" in done.stderr


def test_a_removed_folder_goes_when_the_kernel_forgets_it(folder: Path, volume: RecordedVolume) -> None:
    inodes = volume.space.inodes
    kept = folder / "kept"
    kept.mkdir()
    number = os.open(kept, os.O_RDONLY)
    ino = os.fstat(number).st_ino
    kept.rmdir()
    os.fchmod(number, 0o700)
    assert os.fstat(number).st_nlink == 0
    assert ino in inodes
    os.close(number)
    deadline_s = time.monotonic() + 60
    while ino in inodes and time.monotonic() < deadline_s:
        time.sleep(0.001)
    assert ino not in inodes
