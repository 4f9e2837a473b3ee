"""Simulations run by their scripts, as `make sim` does: one run is a pure function of its seed."""

import os
import subprocess
import sys
from pathlib import Path


def assert_pure_function(script: Path, seed: int) -> None:
    """Assert that `script` tells the same healthy run of `seed` twice, in processes whose hashes differ."""
    outputs = [
        subprocess.run(
            [sys.executable, str(script), str(seed)],
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
