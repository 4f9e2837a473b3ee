"""A log of any processes of this machine: chosen by name, pid or text, with the counters that are asked for.

Rule: one line of JSON a look: the time, the machine, each process; nothing is kept but the last look.
Rule: a process that vanishes while it is looked at is left out of that look; one that comes is in the next.
"""

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from trivet.errors import InputError
from trivet.io.clock import wall_s
from trivet.io.process_figures import Looked, MachineReader, ProcessReader
from trivet.wire.health_messages import MachineFigures
from trivet.wire.path_text import path_text

DESCRIPTION_CHARS = 200
Value = int | float | str | list[int] | None


def _data(one: Looked) -> float | None:
    if one.read_bytes_s is None or one.write_bytes_s is None:
        return None
    return one.read_bytes_s + one.write_bytes_s


def _operations(one: Looked) -> float | None:
    if one.read_operations_s is None or one.write_operations_s is None:
        return None
    return one.read_operations_s + one.write_operations_s


#: What can be counted. The kernel of Linux counts no operations other than reads and writes.
COUNTERS: Mapping[str, Callable[[Looked], Value]] = {
    "private_bytes": lambda one: one.private_bytes,
    "rss_bytes": lambda one: one.rss_bytes,
    "cpu_percent": lambda one: one.cpu_percent,
    "elapsed_s": lambda one: one.elapsed_s,
    "pid": lambda one: one.pid,
    "parent_pid": lambda one: one.parent_pid,
    "caption": lambda one: _text(one.name),
    "description": lambda one: _description(one.pid),
    "threads": lambda one: one.threads,
    "handles": lambda one: one.handles,
    "read_bytes_s": lambda one: one.read_bytes_s,
    "write_bytes_s": lambda one: one.write_bytes_s,
    "other_bytes_s": lambda one: one.other_bytes_s,
    "data_bytes_s": _data,
    "read_operations_s": lambda one: one.read_operations_s,
    "write_operations_s": lambda one: one.write_operations_s,
    "other_operations_s": lambda one: None,
    "data_operations_s": _operations,
    "collections": lambda one: list(one.collections.counts) if one.collections else None,
    "collecting_s": lambda one: one.collections.seconds if one.collections else None,
    "traced_bytes": lambda one: one.collections.traced_bytes if one.collections else None,
}

#: The names that Windows gives to the same.
ALIASES = {
    "PrivateBytes": "private_bytes",
    "WorkingSet": "rss_bytes",
    "ElapsedTime": "elapsed_s",
    "IDProcess": "pid",
    "CreatingProcessID": "parent_pid",
    "Name": "caption",
    "Caption": "caption",
    "Description": "description",
    "IODataBytesPersec": "data_bytes_s",
    "IODataOperationsPersec": "data_operations_s",
    "IOOtherBytesPersec": "other_bytes_s",
    "IOOtherOperationsPersec": "other_operations_s",
    "IOReadBytesPersec": "read_bytes_s",
    "IOReadOperationsPersec": "read_operations_s",
    "IOWriteBytesPersec": "write_bytes_s",
    "IOWriteOperationsPersec": "write_operations_s",
}
_DEAR = {"private_bytes", "collections", "collecting_s", "traced_bytes"}
_NEVER_WITHOUT = ("pid", "caption")


def counters_of(asked: Sequence[str]) -> list[str]:
    """Return the counters that `asked` names mean, all for none; InputError for one that is not known."""
    known = {name.lower(): name for name in COUNTERS} | {name.lower(): to for name, to in ALIASES.items()}
    wrong = [name for name in asked if name.lower() not in known]
    if wrong:
        raise InputError(f"--counter {wrong[0]}: there is none of that name, but {', '.join(COUNTERS)}")
    chosen = [known[name.lower()] for name in asked] or list(COUNTERS)
    return list(dict.fromkeys((*_NEVER_WITHOUT, *chosen)))


@dataclass(frozen=True, slots=True)
class Choice:
    """Which processes: whose name holds one of `names` or who are one of `pids` (all if there are neither),
    and whose name or command line holds one of `texts` if there are any; capitals don't matter.
    """

    names: Sequence[str] = ()
    pids: Sequence[int] = ()
    texts: Sequence[str] = ()

    def find(self) -> list[int]:
        """Return their pids, as they are now."""
        if self.pids and not (self.names or self.texts):
            return list(self.pids)
        return [pid for pid in psutil.pids() if self._takes(pid)]

    def _takes(self, pid: int) -> bool:
        try:
            name = psutil.Process(pid).name().lower()
        except psutil.Error:
            return False
        named = pid in self.pids or any(part.lower() in name for part in self.names)
        if (self.names or self.pids) and not named:
            return False
        if not self.texts:
            return True
        words = f"{name} {_description(pid)}".lower()
        return any(text.lower() in words for text in self.texts)


def _description(pid: int) -> str | None:
    """Return the command line, shortened; None when it can't be seen."""
    try:
        return _text(" ".join(psutil.Process(pid).cmdline())[:DESCRIPTION_CHARS])
    except psutil.Error:
        return None


def _text(told: str) -> str:
    """Return what a process calls itself as printable text, whatever bytes it chose."""
    return path_text(os.fsencode(told))


class ProcessLog:
    """Looks at the processes of `choice` again and again, for `counters` (see `counters_of`)."""

    def __init__(self, choice: Choice, counters: Sequence[str]) -> None:
        self._choice = choice
        self._counters = list(counters)
        self._reader, self._machine = ProcessReader(), MachineReader()
        self._closely = not _DEAR.isdisjoint(counters)

    def look(self) -> dict[str, Any]:
        """Return one look, as it is told: `timestamp`, `at_s`, `machine`, `processes`."""
        at_s = wall_s()
        rows = [
            {name: COUNTERS[name](one) for name in self._counters}
            for one in self._reader.look(self._choice.find(), closely=self._closely)
        ]
        return {
            "timestamp": _stamp(at_s),
            "at_s": at_s,
            "machine": _machine_told(self._machine.look()),
            "processes": rows,
        }


def _stamp(at_s: float) -> str:
    """Return the local time with milliseconds."""
    local = datetime.datetime.fromtimestamp(at_s).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d}"


def _machine_told(machine: MachineFigures) -> dict[str, int | float | None]:
    swap_free = machine.swap_total_bytes - machine.swap_used_bytes
    return {
        "cpu_percent": machine.cpu_percent,
        "memory_percent": machine.memory_percent,
        "memory_total_bytes": machine.memory_total_bytes,
        "memory_available_bytes": machine.memory_available_bytes,
        "swap_total_bytes": machine.swap_total_bytes,
        "swap_available_bytes": swap_free,
        "virtual_total_bytes": machine.memory_total_bytes + machine.swap_total_bytes,
        "virtual_available_bytes": machine.memory_available_bytes + swap_free,
    }
