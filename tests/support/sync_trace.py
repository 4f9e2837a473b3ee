"""What strace saw of a drive's banks: which bank synced its journal, from when to when.

Rule: strace is attached to servers that run, and let go of at the end; times are those of time.time().
"""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"([0-9.]+) f(?:data)?sync\(\d+<(?P<path>.*)>\) = 0 <([0-9.]+)>")
_BANK = re.compile(r"/bank-(\d+)/server-\d+/journal/")
_ATTACHED_S = 10


class Sync(NamedTuple):
    """A journal of the bank at port `base` was synced between two moments."""

    base: int
    began: float
    ended: float


class SyncTrace:
    """The syncs of the servers traced; complete once the trace has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def syncs(self) -> list[Sync]:
        """Return every sync of a journal that succeeded."""
        found = []
        for path in self.folder.glob("trace.*"):
            for began, synced, took in _LINE.findall(path.read_text()):
                bank = _BANK.search(synced)
                if bank is not None:
                    found.append(Sync(int(bank[1]), float(began), float(began) + float(took)))
        return found


@contextmanager
def traced(pids: Sequence[int], folder: Path) -> Iterator[SyncTrace]:
    """Trace the processes `pids` for the time of the block; a file a thread is written to `folder`."""
    words = ["strace", "-f", "-ff", "-y", "-ttt", "-T", "-e", "trace=fsync,fdatasync"]
    words += ["-o", str(folder / "trace"), *(word for pid in pids for word in ("-p", str(pid)))]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + _ATTACHED_S
        while not all(_is_traced(pid, tracer.pid) for pid in pids):
            assert tracer.poll() is None, tracer.stderr.read() if tracer.stderr else ""
            assert time.monotonic() < until, "strace did not attach"
            time.sleep(0.02)
        yield SyncTrace(folder)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=_ATTACHED_S)


def _is_traced(pid: int, tracer: int) -> bool:
    """Tell whether every thread of a process is traced."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all(f"TracerPid:\t{tracer}\n" in (task / "status").read_text() for task in tasks)
