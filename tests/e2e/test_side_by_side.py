"""The drive beside ext4: random sequences of operations by several users must go the same on both.

Beside the random ones stand tables: every call on every kind of file by many callers, a part of them in CI.
TRIVET_SEQUENCES and TRIVET_SEED say how many sequences and which; a failure prints the seed and the shortest
sequence that still fails. Up to 200 run on a mount over banks in memory and a few on a drive; more than that
all on a drive.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

import memory_mount
from drive_under_test import Drive
from file_calls import UTIME_OMIT
from found_sequences import FOUND
from made_sequences import Maker
from rule_tables import tables
from side_by_side import Operation, Tree

pytestmark = pytest.mark.mount
SEQUENCES = int(os.environ.get("TRIVET_SEQUENCES", "200"))
STEPS = 200
LOOKED_AT = 4
TABLES = 12
IN_MEMORY_MAX = 200
SHRINKING_TRIES = 400
#: Where every other test runs: sequences work in folders of their own.
HOME = Path.cwd()


@pytest.fixture(scope="module")
def ext4(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on ext4: the machine's own if it is, else in an image."""
    place = tmp_path_factory.mktemp("ext4")
    if subprocess.check_output(["stat", "-f", "-c", "%T", place], text=True).strip() == "ext2/ext3":
        yield place
        return
    image, folder = place / "image", place / "mounted"
    folder.mkdir()
    subprocess.run(["truncate", "-s", "256M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no ext4 here, and none can be mounted")
    yield folder
    subprocess.run(["umount", folder], check=True)


class Pair:
    """Does sequences on both, each in a new folder."""

    def __init__(self, drive: Path, ext4: Path) -> None:
        self.places = drive, ext4
        self.numbers = count()

    def difference(self, operations: list[Operation]) -> str | None:
        """Return what was not the same, None if all was."""
        name = b"%d" % next(self.numbers)
        now_ns = time.time_ns()
        trees = [Tree(os.path.join(os.fsencode(place), name), now_ns) for place in self.places]
        try:
            return self._difference(trees, operations)
        finally:
            os.chdir(HOME)
            for tree, place in zip(trees, self.places, strict=True):
                tree.close()
                shutil.rmtree(os.path.join(os.fsencode(place), name))

    def _difference(self, trees: list[Tree], operations: list[Operation]) -> str | None:
        for step, operation in enumerate(operations):
            results = [tree.do(operation) for tree in trees]
            if results[0] != results[1]:
                return f"step {step}: {operation}: {_short(results)}"
            if isinstance(results[0], str) and step % LOOKED_AT:
                continue  # it failed, and most failures change nothing
            access_of = operation[2] if results[0] is None and _sets_access(operation) else None
            looks = [tree.look(_paths_of(operation), access_of) for tree in trees]
            if unlike := _unlike(*looks):
                return f"step {step}: {operation}: looks {unlike}"
        wholes = [tree.whole() for tree in trees]
        unlike = _unlike(*wholes)
        return f"in the end: {unlike}" if unlike else None

    def shortest(self, operations: list[Operation]) -> list[Operation]:
        """Return a part of `operations` that still goes differently and can't be cut much further."""
        size = len(operations) // 2
        for _ in range(SHRINKING_TRIES):
            for at in range(len(operations) - 1, -1, -size):
                shorter = operations[: max(at - size + 1, 0)] + operations[at + 1 :]
                if shorter and self.difference(shorter) is not None:
                    operations = shorter
                    break
            else:
                if size == 1:
                    break
                size = max(size // 2, 1)
        return operations


def _sets_access(operation: Operation) -> bool:
    """Tell whether it sets the time of access: else that of a read shows, which no mount may be told of."""
    return operation[0] == "utimens" and operation[3][1] != UTIME_OMIT


def _paths_of(operation: Operation) -> list[bytes]:
    named = [word for word in operation[2:4] if isinstance(word, bytes) and operation[0] != "symlink"]
    named = named[:1] if "xattr" in operation[0] or operation[0] == "symlink" else named
    return list(dict.fromkeys(path for name in named for path in (name, os.path.dirname(name) or b".")))


def _unlike(ours: dict[bytes, object], theirs: dict[bytes, object]) -> dict[bytes, tuple[object, object]]:
    return {
        path: (_short(ours.get(path)), _short(theirs.get(path)))
        for path in {**ours, **theirs}
        if not _is_same(ours.get(path), theirs.get(path))
    }


def _is_same(ours: Any, theirs: Any) -> bool:
    """Compare two looks; where one side can't tell what changed that is left out."""
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        return bool(ours == theirs)
    untold = dict[str, None]()
    if None in (ours["changed"], theirs["changed"]):
        untold["changed"] = None
    if ours["is pipe"] and None in ours["set times"] + theirs["set times"]:
        untold["set times"] = None
    return bool(ours | untold == theirs | untold)


def _short(told: object) -> str:
    """Return `told` with what is long shown by its ends and its length."""
    if isinstance(told, list | tuple):
        return f"[{', '.join(map(_short, told))}]"
    text = repr(told)
    return text if len(text) < 400 else f"{text[:100]}...{text[-100:]} ({len(text)})"


@pytest.mark.timeout(120 + SEQUENCES * 5)
def test_random_sequences_on_a_drive(lone_drive: Drive, ext4: Path) -> None:
    compare(lone_drive.folder, ext4, SEQUENCES if SEQUENCES > IN_MEMORY_MAX else SEQUENCES // 20)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mount over banks in memory."""
    place = tmp_path_factory.mktemp("memory")
    serving = subprocess.Popen(
        [sys.executable, memory_mount.__file__, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert serving.stdin is not None
    assert serving.stdout is not None
    try:
        assert serving.stdout.readline() == b"mounted\n"
        yield place
    finally:
        os.chdir(HOME)
        serving.stdin.close()
        serving.stdout.close()
        assert serving.wait(30) == 0


@pytest.mark.timeout(120 + SEQUENCES * 5)
def test_random_sequences_on_a_mount_over_memory(memory: Path, ext4: Path) -> None:
    compare(memory, ext4, min(SEQUENCES, IN_MEMORY_MAX))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.timeout(300)
def test_every_call_on_every_kind_of_file(memory: Path, ext4: Path) -> None:
    pair = Pair(memory, ext4)
    all_of_them = list(tables())
    chosen = all_of_them if SEQUENCES > IN_MEMORY_MAX else SystemRandom().sample(all_of_them, TABLES)
    for name, operations in chosen:
        assert pair.difference(operations) is None, name


@pytest.mark.timeout(120)
def test_what_once_went_differently(memory: Path, ext4: Path) -> None:
    pair = Pair(memory, ext4)
    assert {name: pair.difference(operations) for name, operations in FOUND.items()} == dict.fromkeys(FOUND)


def compare(folder: Path, ext4: Path, sequences: int) -> None:
    """Do so many sequences in `folder` and on `ext4`; fail with the shortest that differs."""
    pair = Pair(folder, ext4)
    first = int(os.environ.get("TRIVET_SEED") or SystemRandom().randrange(1 << 30))
    for seed in range(first, first + sequences):
        operations = Maker(seed, os.geteuid() == 0).sequence(STEPS)
        if (found := pair.difference(operations)) is not None:
            shortest = pair.shortest(operations)
            again = pair.difference(shortest)
            lines = "\n".join(map(repr, shortest))
            pytest.fail(f"TRIVET_SEED={seed}: {found}\nin short: {again}\n{lines}")
