"""Each kind of record and blob, spoilt in each way on one bank and on two: right bytes, then repaired.

Rule: how many cases says `TRIVET_CORRUPTIONS` (300), which `TRIVET_SEED`.
"""

import os
import random
from pathlib import Path

import pytest

from corruption import Case, cases
from corruption_pool import PAIRS, Pool
from corruption_rounds import Rounds, assert_checked
from small_drive import SmallDrive, small_drive

COUNT = int(os.environ.get("TRIVET_CORRUPTIONS", "300"))
SEED = int(os.environ.get("TRIVET_SEED", "1"))


def rounds_of(count: int, seed: int) -> list[tuple[list[Case], bool]]:
    """Return the cases round by round, and whether the drive is down meanwhile; a file open is never."""
    served: list[Case] = []
    down: list[Case] = []
    for case in cases(seed, count):
        (down if case.kind != "o" and case.number % 3 == 0 else served).append(case)
    return [
        (some[at : at + PAIRS], some is down) for some in (served, down) for at in range(0, len(some), PAIRS)
    ]


@pytest.mark.timeout(60 + COUNT)
async def test_right_bytes_then_repaired(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    async with small_drive(tmp_path) as drive:
        pool = Pool(drive, rng)
        await pool.fill()
        rounds = Rounds(drive, pool, rng)
        for some, while_down in rounds_of(COUNT, SEED):
            await rounds.run(some, while_down=while_down)
        checks = (await drive.ask("status"))["checks"]
        print(dict(rounds.counts), checks)
    assert_checked(rounds.counts, COUNT)
    assert_compared(drive, checks)


def assert_compared(drive: SmallDrive, checks: dict[str, int]) -> None:
    """Assert that the last keeper read copies and compared them."""
    assert checks["copies_read"] >= checks["copies_verified"] > 0
    assert checks["records_compared"] > 0
    assert checks["blobs_compared"] > 0
    assert checks["scrubbed_bytes"] > 0
