"""Where logs come from: names, dates, ssh sources. A stand-in named ssh on the PATH plays the far machine."""

import asyncio
import os
import stat
from datetime import date
from pathlib import Path

import pytest

from trivet.errors import InputError, TrivetError
from trivet.io.log_sources import LogSource, fetch_all, names_date, parse_source

DAY = date(2013, 5, 22)

#: like sshd: the words after the host are joined and given to the user's shell
STAND_IN = """#!/bin/sh
host=$1; shift
printf '%s\\n' "$host" "$@" >> "$SSH_WORDS"
case $host in
  down) echo "ssh: connect to host down port 22: Connection refused" >&2; exit 255;;
  stuck) exec sleep 600;;
esac
exec sh -c "$*"
"""


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in first on the PATH; return the file with the words it was given."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    words = tmp_path / "words"
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SSH_WORDS", str(words))
    return words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("access.log", LogSource("", "access.log")),
        ("tm2=/var/log/access.{date}.log", LogSource("tm2", "/var/log/access.2013-05-22.log")),
        ("ssh tm2:/logs/a.log", LogSource("tm2", "/logs/a.log", "tm2")),
        ("web=ssh me@tm2:logs/{date:%Y%m%d}.gz", LogSource("web", "logs/20130522.gz", "me@tm2")),
        ("ssh://me@tm2/logs/a.log", LogSource("me@tm2", "/logs/a.log", "me@tm2")),
        ("a{date:%d.%m.%Y}b{date}", LogSource("", "a22.05.2013b2013-05-22")),
    ],
)
def test_sources_are_understood(text: str, expected: LogSource) -> None:
    assert parse_source(text, DAY) == expected


def test_a_file_whose_name_holds_an_equals_sign_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a=b.log").touch()
    assert parse_source("a=b.log", DAY) == LogSource("", "a=b.log")


@pytest.mark.parametrize("text", ["ssh tm2", "ssh ", "ssh://tm2", "ssh -oProxyCommand=x:/etc/passwd"])
def test_unusable_ssh_sources_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_source(text, DAY)


def test_only_a_date_is_a_date() -> None:
    assert names_date("x{date}")
    assert names_date("x{date:%Y}")
    assert not names_date("x{dates}{day}")


async def test_logs_are_fetched_and_failures_told(ssh: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's a $(log) file; rm -rf.log"
    odd.write_bytes(b"line \x00\xff\n" * 100_000)
    sources = [
        LogSource("one", str(odd), "tm1"),
        LogSource("two", "/var/log/a.log", "down"),
        LogSource("three", str(tmp_path / "missing.log"), "tm3"),
    ]
    first, second, third = await fetch_all(sources, tmp_path, 30)
    assert isinstance(first, Path)
    assert first.read_bytes() == odd.read_bytes()
    assert isinstance(second, TrivetError)
    assert "ssh down:/var/log/a.log" in str(second)
    assert "Connection refused" in str(second)
    assert isinstance(third, TrivetError)
    assert "missing.log" in str(third)
    words = await asyncio.to_thread(ssh.read_text)
    assert sorted([w for w in words.splitlines() if w in ("tm1", "down", "tm3", "cat")]) == [
        *["cat"] * 3, "down", "tm1", "tm3",
    ]  # fmt: skip


async def test_a_stuck_server_meets_the_deadline(ssh: Path, tmp_path: Path) -> None:
    (answer,) = await fetch_all([LogSource("x", "/a", "stuck")], tmp_path, 0.5)
    assert isinstance(answer, TrivetError)
    assert "--ssh-timeout" in str(answer)


async def test_a_machine_without_ssh_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (answer,) = await fetch_all([LogSource("x", "/a", "host")], tmp_path, 5)
    assert isinstance(answer, TrivetError)
    assert "ssh is not installed" in str(answer)
