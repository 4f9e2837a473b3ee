"""Simulations run by their scripts, as `make sim` does: one run is a pure function of its seed."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
Replay = Callable[[int, Callable[[str], None]], bool]


def assert_pure_function(replay: Replay, script: Path, one: int, other: int) -> None:
    """Assert that the runs of two seeds are the same, whatever else happens in their process.

    `script` runs them in a process of its own, `one` first; `replay` here and the other way round, behind all
    that tests and the other simulation have done in this process. The hashes of words differ, too.
    """
    alone = subprocess.Popen(
        [sys.executable, str(script), str(one), str(other)],
        env={**os.environ, "PYTHONHASHSEED": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for room in ("sim", "whole"):
            patch.syspath_prepend(TESTS / room)
        for name in ("sim_hunt", "whole_hunt"):
            importlib.import_module(name)
        here: dict[int, list[str]] = {other: [], one: []}
        for seed, lines in here.items():
            assert replay(seed, lines.append)
    told, _ = alone.communicate(timeout=100)
    assert alone.returncode == 0
    assert told.splitlines() == here[one] + here[other]
