"""A store whose writers are killed while others read: nothing acknowledged is lost, everything reads once."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from trivet.monitor.runs.event_store import EventStore

#: Appends batches, seals and compacts without end; prints a batch's number once it was acknowledged.
WRITER = """
import itertools, sys
from pathlib import Path
from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs import event_store
event_store.SEAL_ROWS = 300
store = event_store.EventStore(Path(sys.argv[1]))
for batch in itertools.count():
    run = f"{sys.argv[2]}-{batch // 5}"
    store.append([Event(run, "x", batch, batch, sys.argv[2], batch * 20 + n) for n in range(20)])
    print(batch, flush=True)
    if batch % 23 == 22:
        store.compact()
"""


def writer(folder: Path, name: str) -> subprocess.Popen[str]:
    """Start a writer of the source `name`."""
    command = [sys.executable, "-c", WRITER, str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kept(store: EventStore) -> dict[str, list[int]]:
    """The sequences in the store, by source, in order."""
    table = store.scan()
    assert table.source is not None
    assert table.sequence is not None
    found: dict[str, list[int]] = {}
    for source, sequence in sorted(zip(table.source.tolist(), table.sequence.tolist(), strict=True)):
        found.setdefault(table.sources[source], []).append(sequence)
    return found


def test_killed_at_any_point_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    dice = random.Random(7)
    for attempt in range(6):
        name = f"w{attempt}"
        process = writer(tmp_path, name)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(dice.randrange(1, 60))]
        time.sleep(dice.random() * 0.05)  # not a wait for anything: the kill is to fall anywhere
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
        acknowledged = [
            int(line) for line in [*lines, *rest.splitlines()] if line.endswith("\n") or line.isdigit()
        ]
        store = EventStore(tmp_path)
        mine = kept(store)[name]
        assert mine == list(range(len(mine))), "each event once, none missing in the middle"
        assert len(mine) >= (max(acknowledged) + 1) * 20
        store.close()


def test_readers_beside_live_writers_see_each_event_once_and_ever_more(tmp_path: Path) -> None:
    writers = [writer(tmp_path, name) for name in ("a", "b")]
    try:
        for process in writers:
            assert process.stdout is not None
            process.stdout.readline()
        reader = EventStore(tmp_path, create=False)
        before = {"a": 0, "b": 0}
        deadline = time.monotonic() + 30
        while min(before.values()) < 1500:
            assert time.monotonic() < deadline, f"the writers stand still at {before}"
            seen = kept(reader)
            for name, sequences in seen.items():
                assert sequences == list(range(len(sequences)))
                assert len(sequences) >= before[name]
                before[name] = len(sequences)
    finally:
        for process in writers:
            process.kill()
            process.communicate(timeout=30)


#: Emits events without end, and prints how many were when a flush has come back.
EMITTING = """
import itertools, sys
from pathlib import Path
from trivet.monitor.runs.emitter import Emitter
emitter = Emitter(Path(sys.argv[1]), source="bench")
run = emitter.run("7", device_group="phones")
for number in itertools.count(1):
    run.event(f"step{number % 5}")
    if number % 50 == 0:
        emitter.flush()
        print(number, flush=True)
"""


def test_what_a_killed_program_had_flushed_is_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EMITTING, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(7):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=30)
    flushed = max([350, *(int(line) for line in rest.splitlines() if line.isdigit())])
    assert len(EventStore(tmp_path, create=False).scan()) >= flushed
