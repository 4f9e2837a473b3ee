"""Programs at work in the drive: a real tree copied, git, make, SQLite, iozone, names of any bytes."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sysconfig
from pathlib import Path

import pytest

from drive_under_test import Drive, drop_caches

pytestmark = pytest.mark.mount
GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}
MAKEFILE = """
prog: main.o part.o
\tcc -o prog main.o part.o
%.o: %.c
\tcc -c $<
"""
MAIN_C = "int part(void); int main(void) { return part() - 42; }\n"
PART_C = "int part(void) { return 42; }\n"


def run(folder: Path, *words: str, timeout: float = 100) -> str:
    """Run a program in `folder`; it must end well."""
    done = subprocess.run(words, cwd=folder, env=GIT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{words}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    return done.stdout


def test_standard_library_is_copied_and_committed(shared_drive: Drive, tmp_path: Path) -> None:
    source = tmp_path / "lib"
    leave = shutil.ignore_patterns("site-packages", "__pycache__", "test", "idlelib", "*.a", "*.so")
    shutil.copytree(sysconfig.get_path("stdlib"), source, symlinks=True, ignore=leave)
    copied = shared_drive.folder / "lib"
    run(shared_drive.folder, "cp", "-a", str(source), ".")
    drop_caches()
    run(shared_drive.folder, "diff", "-r", "--no-dereference", str(source), str(copied))
    run(copied, "git", "init", "-q", ".")
    run(copied, "git", "add", ".")
    run(copied, "git", "commit", "-qm", "all of it")
    assert run(copied, "git", "status", "--porcelain") == ""
    run(copied, "git", "fsck", "--strict")
    run(shared_drive.folder, "rm", "-rf", "lib")
    assert not copied.exists()


def test_make_builds_and_builds_only_what_changed(shared_drive: Drive) -> None:
    folder = shared_drive.folder / "build"
    folder.mkdir()
    for name, text in {"Makefile": MAKEFILE, "main.c": MAIN_C, "part.c": PART_C}.items():
        (folder / name).write_text(text)
    run(folder, "make")
    run(folder, "./prog")
    assert "up to date" in run(folder, "make")
    (folder / "part.c").write_text(PART_C)
    told = run(folder, "make")
    assert "part.c" in told
    assert "main.c" not in told


def test_sqlite_keeps_its_promises(shared_drive: Drive) -> None:
    path = shared_drive.folder / "base.sqlite"
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE t(n INTEGER PRIMARY KEY, body BLOB)")
        for n in range(50):
            base.execute("INSERT INTO t VALUES (?, ?)", (n, os.urandom(2000)))
            base.commit()
        base.execute("DELETE FROM t WHERE n % 3 = 0")
        base.commit()
        base.execute("VACUUM")
    base.close()
    drop_caches()
    with sqlite3.connect(path) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert base.execute("SELECT count(*) FROM t").fetchone() == (33,)
    base.close()


def test_names_of_any_bytes_and_no_longer_ones(shared_drive: Drive) -> None:
    folder = os.fsencode(shared_drive.folder) + b"/names"
    os.mkdir(folder)
    names = {b"new\nline", b"\xff\xfe", b"n" * 255, "\u00e4".encode(), b" ", b"-rf", b"\\x41", b"*"}
    for name in names:
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    drop_caches()
    assert set(os.listdir(folder)) == names
    for name in names:
        with open(folder + b"/" + name, "rb") as file:
            assert file.read() == name
    with pytest.raises(OSError, match="too long") as refused:
        os.mkdir(folder + b"/" + b"n" * 256)
    assert refused.value.errno == errno.ENAMETOOLONG
    shared_drive.trivet("verify", os.fsdecode(folder))


def test_sparse_and_very_large_files(shared_drive: Drive) -> None:
    path = shared_drive.folder / "sparse"
    far = 5 << 30
    with path.open("wb") as file:
        file.write(b"begin")
        file.seek(far)
        file.write(b"end")
    assert path.stat().st_size == far + 3
    drop_caches()
    with path.open("rb") as file:
        assert file.read(8) == b"begin\0\0\0"
        file.seek(far - 4096)
        assert file.read() == bytes(4096) + b"end"
    os.truncate(path, 3)
    os.truncate(path, 10)
    assert path.read_bytes() == b"beg" + bytes(7)
    path.unlink()


def test_file_open_and_unlinked_stays_readable(shared_drive: Drive) -> None:
    path = shared_drive.folder / "gone"
    with path.open("w+b") as file:
        file.write(b"x" * 200_000)
        file.flush()
        path.unlink()
        os.fsync(file.fileno())
        drop_caches()
        file.seek(0)
        assert file.read() == b"x" * 200_000
    assert not path.exists()


def test_extended_attributes_survive(shared_drive: Drive) -> None:
    path = shared_drive.folder / "marked"
    path.touch()
    os.setxattr(path, "user.colour", b"blue")
    run(shared_drive.folder, "cp", "-a", "marked", "copied")
    assert os.getxattr(shared_drive.folder / "copied", "user.colour") == b"blue"


def test_iozone_in_a_subfolder(shared_drive: Drive) -> None:
    if shutil.which("iozone") is None:
        assert "CI" not in os.environ, "CI installs iozone3"
        pytest.skip("iozone is not installed (Debian: iozone3 from non-free)")
    folder = shared_drive.folder / "bench"
    folder.mkdir()
    run(folder, "iozone", "-a", "-+u", "-n", "4k", "-g", "16k", "-b", "../file.xls")
    assert (shared_drive.folder / "file.xls").stat().st_size > 0
