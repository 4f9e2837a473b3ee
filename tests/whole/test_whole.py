"""The real keeper over real banks in virtual time: every seed ends healthy, nothing lost, nothing wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from whole_run import WholeRun

SEEDS = int(os.environ.get("TRIVET_WHOLE_SEEDS", "30"))
SEEDS_A_TEST = 10


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_every_whole_drive_ends_healthy(first: int) -> None:
    for seed in range(first, min(first + SEEDS_A_TEST, SEEDS)):
        try:
            WholeRun(seed).run()
        except AssertionError as broken:
            raise AssertionError(f"replay with `make sim SEED={seed}`: {broken}") from broken


def test_a_whole_run_is_a_pure_function_of_its_seed() -> None:
    """Also across processes, whose hashes of bytes differ."""
    script = Path(__file__).with_name("run_whole.py")
    outputs = [
        subprocess.run(
            [sys.executable, str(script), "3"],
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in (1, 2)
    ]
    assert outputs[0] == outputs[1]
    assert "healthy" in outputs[0]
