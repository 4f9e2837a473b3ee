"""Uploads and downloads of the door that are not over yet, whoever's they are, out of the door's own list.

Rule: the list is read, never written or waited for; what can't be read now is read next time.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from trivet.wire.board_frames import Moving

MOST = 12
_BUSY_S = 0.2
_OPEN = "state IN ('waiting', 'running', 'verifying', 'parked') AND expires_at > ?"
_COLUMNS = {"upload": ("transfers", "held, total"), "download": ("downloads", "sent, NULL")}


def moving(path: Path) -> tuple[list[Moving], int] | None:
    """Return what moves according to the door's file at `path`, newest first, and how many more there are.

    None when the file is not there or is busy.
    """
    if not path.exists():
        return [], 0
    try:
        door = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            return _moving(door)
        finally:
            door.close()
    except sqlite3.Error:
        return None


def _moving(door: sqlite3.Connection) -> tuple[list[Moving], int]:
    found: list[Moving] = []
    count = 0
    now_s = time.time()
    direction: Literal["upload", "download"]
    for direction in ("upload", "download"):
        table, sizes = _COLUMNS[direction]
        (here,) = door.execute(f"SELECT count(*) FROM {table} WHERE {_OPEN}", (now_s,)).fetchone()
        count += here
        rows = door.execute(
            f"SELECT user, state, {sizes}, plan, touched_at FROM {table} WHERE {_OPEN} "
            "ORDER BY touched_at DESC LIMIT ?",
            (now_s, MOST),
        )
        found += [_told(direction, *row) for row in rows]
    newest = sorted(found, key=lambda one: -one.touched_s)[:MOST]
    return newest, count - len(newest)


def _told(
    direction: Literal["upload", "download"],
    user: str,
    state: str,
    done: int,
    total: int | None,
    plan: bytes,
    touched_s: float,
) -> Moving:
    told: dict[str, Any] = msgspec.msgpack.decode(plan)
    path = str(told.get("path") or told.get("name") or "")[:300]
    return Moving(direction, path, user, state, done, told.get("size", total), touched_s)
