"""Transfers whose worker or client died in the middle: found by the lock that nobody holds, and parked.

Rule: a row says running or verifying only while somebody holds its lock, or touched it QUIET_S ago.
"""

import fcntl
import os
import time
from pathlib import Path

from trivet.gateway.files.drive import Drive

QUIET_S = 3.0
_REASON = "it was cut: nobody is sending"


async def park_deserted(drive: Drive) -> None:
    """Park what nobody works on any more, in whatever process it was."""
    for table in ("transfers", "downloads"):
        rows = await drive.door.rows(
            f"SELECT key, touched_at FROM {table} WHERE state IN ('running', 'verifying') AND touched_at < ?",
            time.time() - QUIET_S,
        )
        for key, touched_at in rows:
            if _is_deserted(drive.folder / "uploads" / f"{key}.lock"):
                await drive.door.write(
                    f"UPDATE {table} SET state = 'parked', error = ?, touched_at = ? "
                    "WHERE key = ? AND touched_at = ?",
                    *(_REASON, time.time(), key, touched_at),
                )


def _is_deserted(lock: Path) -> bool:
    try:
        number = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(number)
