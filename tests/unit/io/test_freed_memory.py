"""Memory that was freed between pieces still in use goes back to the kernel."""

import subprocess
import sys

HELD_MANY_PIECES_ONCE = """
from pathlib import Path
from trivet.io.freed_memory import return_freed

def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

pieces = [bytes(4000 + number % 100) for number in range(50_000)]
kept = pieces[::500]
pieces.clear()
before = resident_bytes()
return_freed()
print(before, resident_bytes())
"""


def test_what_was_freed_between_pieces_in_use_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD_MANY_PIECES_ONCE], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before - 100_000_000
