"""Following files: rotation loses no line, truncation is told, files appear late, globs."""

import os
from pathlib import Path

import pytest

from trivet.io.log_tail import LogTail


class Following:
    """A tail over `pattern` with a clock that tests move."""

    def __init__(self, pattern: str, from_start: bool = True) -> None:
        self.tail = LogTail([pattern], from_start)
        self.now_s = 0.0
        self.lines: list[bytes] = []
        self.tail.look(self.now_s)

    def catch_up(self) -> list[bytes]:
        """Look and read until nothing new comes; return all lines so far."""
        for _ in range(3):
            self.tail.look(self.now_s)
            while chunks := self.tail.read(self.now_s):
                self.lines += [line for chunk in chunks for line in chunk.data.splitlines()]
        return self.lines


def append(path: Path, data: bytes) -> None:
    """Append `data` to `path`."""
    with path.open("ab") as out:
        out.write(data)


def test_lines_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    append(path, b"one\ntw")
    following = Following(str(path))
    assert following.catch_up() == [b"one"]
    append(path, b"o\nthree\n")
    assert following.catch_up() == [b"one", b"two", b"three"]


def test_from_the_end_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    append(path, b"old\nbegun")
    following = Following(str(path), from_start=False)
    append(path, b" and ended\n")
    assert following.catch_up() == [b"begun and ended"]


@pytest.mark.parametrize("pattern", ["a.log", "a.log*"])
def test_rename_rotation_loses_and_doubles_nothing(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "a.log"
    append(path, b"1\n")
    following = Following(f"{tmp_path}/{pattern}")
    with path.open("ab", buffering=0) as old:
        following.catch_up()
        old.write(b"2\n")
        path.rename(tmp_path / "a.log.1")
        old.write(b"3\n")
        append(path, b"5\n")
        following.catch_up()
        old.write(b"4\n")  # the server goes on writing to the renamed file until it is told to reopen
        following.catch_up()
    append(path, b"6\n")
    assert sorted(following.catch_up()) == [b"1", b"2", b"3", b"4", b"5", b"6"]
    following.now_s = 1000.0
    assert sorted(following.catch_up()) == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_a_rotated_file_that_is_deleted_is_drained_and_let_go(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    append(path, b"1\n")
    following = Following(str(path))
    following.catch_up()
    append(path, b"2\n")
    path.unlink()
    append(path, b"3\n")
    assert following.catch_up() == [b"1", b"2", b"3"]
    assert following.tail.paths == [str(path)]


@pytest.mark.parametrize("after", [b"9\n", b"a longer line than before the truncation\n"])
def test_truncation_is_told(tmp_path: Path, after: bytes) -> None:
    path = tmp_path / "a.log"
    append(path, b"first\nsecond\n")
    following = Following(str(path))
    following.catch_up()
    os.truncate(path, 0)
    append(path, after)
    assert following.catch_up() == [b"first", b"second", after.rstrip()]
    assert following.tail.truncations == 1
    assert any("truncated" in note for note in following.tail.notes)


def test_a_file_that_appears_later_is_read_from_its_start(tmp_path: Path) -> None:
    following = Following(f"{tmp_path}/*.log", from_start=False)
    assert following.catch_up() == []
    assert "waiting for" in following.tail.notes[0]
    append(tmp_path / "new.log", b"1\n")
    append(tmp_path / "other.log", b"2\n")
    assert following.catch_up() == [b"1", b"2"]


def test_directories_and_packed_files_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d.log").mkdir()
    append(tmp_path / "z.log", b"\x1f\x8bpacked\n")
    assert Following(f"{tmp_path}/*.log").catch_up() == []
