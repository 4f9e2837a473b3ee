"""Bars of transfers and repairs, read from a store that a door writes."""

import json
import time
from pathlib import Path

from trivet.monitor.board.motion import BARS, CACHED_BARS, Motion
from trivet.monitor.runs.waypoint_store import WaypointStore
from trivet.wire.control_messages import Finding

S = 10**9
DAY_S = round(time.time()) - 3600  # what is older than a week is not kept
NAMES = (
    "request",
    "queue_start",
    "queue_end",
    "transfer_start",
    "transfer_end",
    "verify_start",
    "verify_end",
    "publish",
)


def transfer(store: WaypointStore, run: str, begin_s: float, kind: str = "upload", until: int = 8) -> None:
    tags = json.dumps({"queue": kind, "requestor": "ann", "request_id": run})
    store.append([(run, name, round((DAY_S + begin_s + place) * S), "door", place, tags)
                  for place, name in enumerate(NAMES[:until])])  # fmt: skip


def test_the_newest_transfers_and_repairs(tmp_path: Path) -> None:
    store, motion = WaypointStore(tmp_path), Motion(tmp_path)
    transfer(store, "a", 1000)
    motion.read()
    transfer(store, "b", 2000, until=4)
    motion.read()
    repair = Finding(
        "fixed", "/x", "page", 7000, "checksum differs", DAY_S + 1503.0, 8000, [], DAY_S + 1500.0
    )
    bars = motion.bars([repair])
    assert [(one.kind, one.about) for one in bars] == [
        ("upload", "ann"),
        ("repair", "/x on 7000"),
        ("upload", "ann"),
    ]
    assert dict(bars[1].phases) == {"repair": 3.0}
    assert dict(bars[2].phases) == {
        "initialisation": 1, "queue": 1, "transfer": 1, "verify": 1, "publish": 1, "*other*": 2}  # fmt: skip
    assert (bars[0].open, bars[0].total_s, bars[0].begin_s) == (True, 3.0, DAY_S + 2000.0)
    store.close()


def test_a_busy_door_shows_no_more(tmp_path: Path) -> None:
    store, motion = WaypointStore(tmp_path), Motion(tmp_path)
    for number in range(40):
        transfer(store, f"cached {number}", 2000 + number, "cached")
        transfer(store, f"slow {number}", 1000 + number)
    motion.read()
    bars = motion.bars([])
    assert len(bars) == BARS
    assert [one.kind for one in bars] == ["cached"] * CACHED_BARS + ["upload"] * (BARS - CACHED_BARS)
    assert bars[-1].run == f"slow {40 - BARS + CACHED_BARS}"
    store.close()


def test_no_store_yet_and_a_damaged_one(tmp_path: Path) -> None:
    motion = Motion(tmp_path / "none")
    motion.read()
    assert motion.bars([]) == []
    (tmp_path / "tail.sqlite").write_bytes(b"no database" * 100)
    damaged = Motion(tmp_path)
    damaged.read()
    assert damaged.bars([]) == []
