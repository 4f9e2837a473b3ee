"""Which engine is taken, and that code compiled before a change is not used."""

import os
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.insight.logs import kernel_scan
from trivet.insight.logs.engine_kernel import KernelEngine
from trivet.monitor.logs.engine_choice import choose_engine, kernel_is_compiled


def test_the_kernel_is_for_the_common_family() -> None:
    said: list[str] = []
    assert choose_engine("kernel", ["combined", "vhost"], 0, said.append).name == "kernel"
    assert choose_engine("auto", ["caddy"], 0, said.append).name == "regex"
    assert choose_engine("regex", ["combined"], 0, said.append).why == "asked for"
    with pytest.raises(InputError, match="not caddy"):
        choose_engine("kernel", ["caddy"], 0, said.append)


def test_code_older_than_its_sources_is_thrown_away() -> None:
    KernelEngine(1 << 30).feed(b"x\n", 0)
    cache = Path(kernel_scan.scan_block._cache.cache_path)  # type: ignore[attr-defined]
    index = next(cache.glob("kernel_scan.scan_block-*.nbi"))
    kept = {path: (path.read_bytes(), path.stat().st_mtime) for path in cache.glob("kernel_*.nb[ic]")}
    os.utime(index, (0, 0))
    assert not kernel_is_compiled()
    assert not index.exists()
    for path, (data, _) in kept.items():
        path.write_bytes(data)
    assert kernel_is_compiled()
