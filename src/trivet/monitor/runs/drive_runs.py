"""A drive's transfers and repairs as runs, whether it is running or stopped.

Rule: what the door and the keeper write is read, never changed.
Rule: a repair is a run of one phase: from when its damage was suspected until the new copy was verified.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from trivet.errors import InputError
from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.runs.event_log import Event
from trivet.wire.control_messages import Finding

if TYPE_CHECKING:
    from trivet.insight.runs.event_table import EventTable

#: How many repairs, the newest, become runs.
REPAIRS = 10_000
_SECOND_NS = 10**9
_BUSY_S = 10.0


def repair_events(repairs: Iterable[Finding]) -> list[Event]:
    """Return the events of `repairs`: two of each."""
    events = []
    for number, one in enumerate(repairs):
        run = f"repair {one.path} on {one.server} at {one.at_s:.3f}"
        told = {"queue": "repair", "item": one.item, "why": one.why, "server": str(one.server)}
        tags = msgspec.json.encode({**told, "path": one.path}).decode()
        for name, at_s in (("repair_start", one.found_s or one.at_s), ("repair_end", one.at_s)):
            at_ns = round(at_s * _SECOND_NS)
            sequence = 2 * number + (name == "repair_end")
            events.append(Event(run, name, at_ns, at_ns, "keeper", sequence, tags))
    return events


def drive_table(folder: VolumeFolder, memory_limit_bytes: int) -> "EventTable":
    """Return the transfers and repairs of the drive in `folder`; InputError when it has none yet."""
    from trivet.monitor.runs.event_store import EventStore
    from trivet.monitor.runs.sealing import read_all, tail_chunks

    folder.read_config()
    repairs = repair_events(_repairs(folder.keeper_path / "repairs.sqlite"))
    place = folder.gateway_path / "runs"
    if (place / "tail.sqlite").is_file():
        store = EventStore(place, create=False)
        try:
            return store.scan(memory_limit_bytes, identities=False, also=repairs)
        finally:
            store.close()
    if not repairs:
        raise InputError(f"nothing was transferred or repaired yet by the drive in {folder.path}")
    return read_all(place, [], tail_chunks(repairs), memory_limit_bytes, identities=False)


def _repairs(path: Path) -> list[Finding]:
    """Return the newest repairs in the keeper's history at `path`, oldest first; none if it is not there."""
    if not path.is_file():
        return []
    try:
        history = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            rows = history.execute(
                "SELECT finding FROM repairs ORDER BY id DESC LIMIT ?", (REPAIRS,)
            ).fetchall()
        finally:
            history.close()
        return [msgspec.json.decode(told, type=Finding) for (told,) in reversed(rows)]
    except (sqlite3.Error, msgspec.DecodeError) as error:
        raise InputError(f"the history of repairs {path} can't be read: {error}") from error
