"""Logs that are broken on purpose are told, counted and survived, with both engines."""

import gzip
import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.io.log_files import BLOCK_BYTES
from trivet.monitor.logs.batch import LogReading, ReadOptions, read_logs

GOOD = b'10.0.0.1 - - [05/Jun/2024:13:07:09 +0200] "GET /a HTTP/1.1" 200 17 "-" "curl/8"'
ENGINES = pytest.mark.parametrize("engine", ["kernel", "regex"])


def read(tmp_path: Path, data: bytes, engine: str, format_name: str | None = None) -> LogReading:
    """Return what is said of a log that holds `data`."""
    path = tmp_path / "a.log"
    path.write_bytes(data)
    return read_logs([str(path)], ReadOptions(engine=engine, format_name=format_name))


@ENGINES
@pytest.mark.parametrize(
    ("data", "records", "malformed"),
    [
        (b"", 0, 0),
        (GOOD, 1, 0),
        (GOOD + b"\r\n" + GOOD + b"\r\n", 2, 0),
        (b"\n" * 70_000 + GOOD, 1, 70_000),
        (GOOD + b"\n" + bytes(range(256)) * 50 + b"\n" + GOOD, 2, 51),
        (GOOD + b"\n" + b"\x00" * 300_000 + b"\n" + GOOD + b"\n", 2, 1),
        (GOOD.replace(b"/a", b"/" + b"x" * (1 << 20)) + b"\n" + GOOD, 2, 0),
        (GOOD + b"\n" + b"y" * (BLOCK_BYTES + 99) + b"\n" + GOOD, 2, 1),
        (GOOD.replace(b"/a", b"/caf\xe9") + b"\n", 1, 0),
        (b'"' + GOOD + b'"\n', 1, 0),
        (b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD, 2, 0),
    ],
    ids=["empty", "no newline", "crlf", "only newlines", "binary", "nul", "1 MB line", "over a block",
         "latin-1", "quoted", "byte order mark"],
)  # fmt: skip
def test_broken_lines(tmp_path: Path, data: bytes, records: int, malformed: int, engine: str) -> None:
    reading = read(tmp_path, data, engine)
    summary = reading.summary
    assert (summary.records, summary.malformed) == (records, malformed)
    assert summary.lines == records + malformed
    assert len(reading.malformed_lines) == malformed
    assert {ip for ip, _ in summary.top_ips} <= {b"10.0.0.1"}


@ENGINES
def test_a_line_over_a_block_is_told(tmp_path: Path, engine: str) -> None:
    reading = read(tmp_path, GOOD + b"\n" + b"y" * (BLOCK_BYTES + 99) + b"\n", engine)
    assert "1 lines longer than 4 MiB" in reading.problems[0]


@ENGINES
def test_clocks_that_go_back_and_other_zones(tmp_path: Path, engine: str) -> None:
    stamps = [b"13:07:09 +0200", b"11:07:09 +0000", b"10:07:09 +0000", b"16:37:09 +0530"]
    lines = [GOOD.replace(b"13:07:09 +0200", stamp) for stamp in stamps]
    reading = read(tmp_path, b"\n".join(lines), engine)
    assert reading.series.rows()[:, :2].tolist() == [[1717582029, 1], [1717585629, 3]]


@ENGINES
def test_times_thousands_of_years_apart_cost_no_time(tmp_path: Path, engine: str) -> None:
    from trivet.insight.logs.alert import AlertRule
    from trivet.insight.logs.alert_watch import alerts_of

    lines = [GOOD.replace(b"2024", year) for year in (b"0001", b"9999", b"1970")]
    reading = read(tmp_path, b"\n".join(lines), engine)
    assert alerts_of(AlertRule(), reading.series, reading.latency) == []


def test_only_junk_needs_a_format_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no access log"):
        read(tmp_path, b"junk\nmore junk\n", "regex")
    assert read(tmp_path, b"junk\nmore junk\n", "regex", "combined").summary.malformed == 2


@ENGINES
def test_a_broken_archive_counts_up_to_the_damage(tmp_path: Path, engine: str) -> None:
    packed = gzip.compress(b"".join(GOOD.replace(b"/a", b"/%d" % k) + b"\n" for k in range(60_000)))
    reading = read(tmp_path, packed[: len(packed) // 2], engine)
    assert 10_000 < reading.summary.records < 60_000
    assert "breaks off" in reading.problems[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [(".", "is a directory"), ("missing.log", "cannot read missing.log"), ("*.nothing", "no file matches")],
)
def test_what_is_no_file_is_told(tmp_path: Path, name: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trivet", "logs", name], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_one_of_several_files_that_is_no_log_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(GOOD + b"\n")
    (tmp_path / "b.log").write_bytes(b"{}\n")
    said: list[str] = []
    reading = read_logs([f"{tmp_path}/*.log"], ReadOptions(say=said.append))
    assert reading.summary.records == 1
    assert "b.log is no access log" in said[0]


@pytest.mark.parametrize("packing", ["gzip", "bz2", "lzma", "zstandard"])
@ENGINES
def test_every_packing_is_read_and_its_damage_told(tmp_path: Path, packing: str, engine: str) -> None:
    lines = b"".join(GOOD.replace(b"/a", b"/%d" % (k * k)) + b"\n" for k in range(60_000))
    packed = importlib.import_module(packing).compress(lines)
    assert read(tmp_path, packed, engine).summary.records == 60_000
    broken = read(tmp_path, packed[: len(packed) * 2 // 3], engine)
    assert 10_000 < broken.summary.records < 60_000
    assert "breaks off" in broken.problems[0]


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(GOOD + b"\n",))
    writer.start()
    reading = read_logs([str(pipe)], ReadOptions(engine="regex"))
    writer.join()
    assert reading.summary.records == 1


def test_an_account_that_can_keep_no_compiled_code(tmp_path: Path) -> None:
    """Installed by root and run by an account without a home: numba finds no place for its cache."""
    path = tmp_path / "a.log"
    path.write_bytes(GOOD + b"\n" + GOOD + b"\n")
    done = subprocess.run(
        [sys.executable, "-m", "trivet", "floods", str(path), "--engine", "kernel"], capture_output=True,
        timeout=100, env=os.environ | {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"2 requests" in done.stdout
