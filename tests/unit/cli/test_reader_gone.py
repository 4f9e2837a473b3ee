"""Whoever reads trivet's output may leave early (`| head`): it ends quietly, as a tool that SIGPIPE ends."""

import os
import subprocess
import sys

import pytest

DEADLINE_S = 60


def ended(words: str, *, errors_too: bool = False) -> tuple[int, str]:
    """Run `trivet WORDS` into a pipe that nobody reads any more; return its exit code and what it said."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trivet", *words.split()],
            stdout=writes, stderr=writes if errors_too else subprocess.PIPE, text=True, timeout=DEADLINE_S,
            check=False,
        )  # fmt: skip
    finally:
        os.close(writes)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize("words", ["--version", "--help", "logs generate --help"])
def test_it_ends_quietly_when_nobody_reads_on(words: str) -> None:
    assert ended(words) == (141, "")


def test_an_error_that_nobody_reads_ends_quietly_too() -> None:
    assert ended("no-such-verb", errors_too=True) == (141, "")


def test_an_error_is_told_when_only_its_output_is_not_read() -> None:
    code, told = ended("no-such-verb")
    assert code == 2
    assert told.startswith("trivet: ")
    assert told.count("\n") == 1
