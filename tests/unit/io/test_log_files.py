"""Log files come as blocks of whole lines, however they are packed."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from trivet.errors import InputError, NotFound
from trivet.io.log_files import LogFile, expand_paths

LINES = b"".join(b"line %d\n" % k for k in range(5000))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, _zstd])
def test_every_packing_gives_the_same_lines(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "access.log"
    half = len(LINES) // 2
    path.write_bytes(pack(LINES[:half]) + pack(LINES[half:]))
    blocks = list(LogFile(str(path), block_bytes=1000).blocks())
    assert b"".join(blocks) == LINES
    assert all(block.endswith(b"\n") for block in blocks)
    assert max(map(len, blocks)) <= 1000


def test_a_last_line_without_newline_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"one\ntwo")
    assert b"".join(LogFile(str(path)).blocks()) == b"one\ntwo"


def test_a_line_longer_than_a_block_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"before\n" + b"x" * (3 << 20) + b"\nafter\n")
    log = LogFile(str(path), block_bytes=1 << 20)
    lines = b"".join(log.blocks()).splitlines()
    assert lines == [b"before", b"x" * 40, b"after"]
    assert log.overlong_lines == 1


def test_a_broken_gzip_gives_what_came_before_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    whole = gzip.compress(LINES * 20)
    path.write_bytes(whole[: len(whole) // 2])
    log = LogFile(str(path))
    data = b"".join(log.blocks())
    assert data
    assert (LINES * 20).startswith(data)
    assert "breaks off" in log.problems[0]


def test_paths_and_globs(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.log").mkdir()
    assert expand_paths([f"{tmp_path}/*.log", f"{tmp_path}/a.log"]) == [
        f"{tmp_path}/a.log",
        f"{tmp_path}/b.log",
    ]
    with pytest.raises(InputError, match="is a directory"):
        expand_paths([str(tmp_path)])
    with pytest.raises(NotFound, match="cannot read"):
        expand_paths([str(tmp_path / "missing")])
    with pytest.raises(NotFound, match="no file matches"):
        expand_paths([str(tmp_path / "*.gz")])
