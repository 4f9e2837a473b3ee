"""Public programs that work a file system hard and check what they read: how each is called."""

import os
import shutil
from pathlib import Path

import pytest

FULL = os.environ.get("TRIVET_EXERCISERS") == "full"
WITH_FAULTS = FULL or os.environ.get("TRIVET_EXERCISERS") == "faults"
#: stress-ng's stressors of its class `filesystem` that check results and end soon.
STRESSORS = """
chdir chmod chown dentry dir dup fcntl fstat getdent hdd lease link locka lockf lockofd mknod open rename seek
symlink touch utime xattr
"""
_SHORT_STRESSORS = "dentry dir fcntl hdd link lockf lockofd rename seek symlink xattr"


def fio(folder: Path) -> list[str]:
    """Random blocks of many sizes, several files and jobs, each block read back and its sum compared."""
    size, jobs = ("64M", "4") if FULL else ("3M", "2")
    words = (
        f"fio --name=blocks --directory={folder} --rw=randwrite --bsrange=512-96k --bs_unaligned"
        f" --ioengine=psync --size={size} --nrfiles=3 --numjobs={jobs} --fsync=64 --fallocate=none"
        " --verify=crc32c --do_verify=1 --verify_fatal=1 --output-format=terse"
    )
    return words.split()


def stress_ng(folder: Path) -> list[str]:
    """Many stressors at once, each checking its own results."""
    each = [word for name in (STRESSORS if FULL else _SHORT_STRESSORS).split() for word in (f"--{name}", "1")]
    limits = ["--timeout", "60s" if FULL else "1s", "--hdd-bytes", "1M", "--dentries", "50"]
    return ["stress-ng", "--temp-path", str(folder), "--verify", *limits, *each]


def dbench(folder: Path) -> list[str]:
    """The calls of a file server's clients, and how many of them go through."""
    seconds, clients = ("60", "4") if FULL else ("2", "2")
    return ["dbench", "-D", str(folder), "-t", seconds, "-c", "/usr/share/dbench/client.txt", clients]


def fs_mark(folder: Path) -> list[str]:
    """Many small files, each written, synced and closed.

    Its threads draw their names from the same second: in one folder two can draw the same name, and the later
    unlink fails, on any file system. So each has a folder, of a short path: it takes no long one.
    """
    (folder / "m").mkdir(exist_ok=True)
    (folder / "n").mkdir(exist_ok=True)
    files = "1000" if FULL else "100"
    return ["fs_mark", "-d", "m", "-d", "n", "-n", files, "-s", "4096", "-t", "2", "-S", "1"]


def bonnie(folder: Path) -> list[str]:
    """Files written and read by bytes and blocks, many names made and removed."""
    return ["bonnie++", "-d", str(folder), "-s", "512", "-r", "256", "-n", "4", "-u", "root", "-q", "-f"]


def iozone(folder: Path) -> list[str]:
    """Every way of reading and writing a file, each byte compared."""
    largest = "4m" if FULL else "64k"
    return ["iozone", "-a", "-+d", "-n", "64k", "-g", largest, "-f", str(folder / "iozone.tmp")]


EXERCISERS = {found.__name__: found for found in (fio, stress_ng, dbench, fs_mark, iozone)}
if FULL:  # it takes no small numbers
    EXERCISERS["bonnie"] = bonnie


def command(name: str, folder: Path) -> list[str]:
    """Return the command line of an exerciser in `folder`, skipping the test where it is not installed."""
    words = EXERCISERS[name](folder)
    if shutil.which(words[0]) is None:
        assert "CI" not in os.environ or name == "iozone", f"CI installs {words[0]}"
        pytest.skip(f"{words[0]} is not installed")
    return words
