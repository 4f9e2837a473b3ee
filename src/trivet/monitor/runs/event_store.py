"""A store of events in a folder: a SQLite tail that takes them in, Parquet segments that keep them.

Rule: `append` returns when the events are on the disk; whatever is killed at whatever moment, they stay,
and each is read once. A segment is written and synced, then one transaction puts it in the place of its rows.
Rule: readers never wait for writers, nor writers for readers.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trivet.errors import TrivetError
from trivet.monitor.runs.event_log import Event
from trivet.monitor.runs.run_index import may_hold
from trivet.monitor.runs.tail import Segment, Tail

if TYPE_CHECKING:
    from trivet.insight.runs.event_table import EventTable

#: A tail of more events is sealed by the append that finds it so.
SEAL_ROWS = 200_000
#: A table of more events is sealed at once: through the tail they would be objects, and slow.
SEAL_AT_ONCE_ROWS = 50_000
#: Compaction leaves segments of this size alone.
FULL_ROWS = 4_000_000
_SCAN_TRIES = 10


class EventStore:
    """The store in `folder`, made when it is not there (unless `create` is false).

    Safe to use from several threads and processes. Only appending does without loading Arrow.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        self._folder = folder
        self._tail = Tail(folder, create=create)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let go of the store's files."""
        with self._lock:
            self._tail.close()

    def append(self, batch: Sequence[Event]) -> int:
        """Keep the events of `batch`; returns how many were new, after they are on the disk."""
        with self._lock, self._tail.writing():
            added = self._tail.add(self._not_sealed(batch))
            if self._tail.row_count() > SEAL_ROWS:
                self._seal_tail()
        return added

    def append_table(self, table: "EventTable") -> int:
        """Keep the events of `table`, giving those without a sequence one; returns how many were new."""
        from trivet.monitor.runs.sealing import new_events, row_batches, with_identity

        table = with_identity(table)
        if len(table) < SEAL_AT_ONCE_ROWS:
            return sum(self.append(batch) for batch in row_batches(table))
        with self._lock, self._tail.writing():
            new = new_events(self._folder, table, self._tail.segments(), self._tail.events)
            if len(new):
                self._tail.replace_segments([], [self._write(new)])
        return len(new)

    def scan(
        self, memory_limit_bytes: int = 0, *, identities: bool = True, also: Sequence[Event] = ()
    ) -> "EventTable":
        """All events, each once, as they are at one moment; raises InputError beyond `memory_limit_bytes`.

        `also` are events from elsewhere, behind those of the store.
        Without `identities` the table takes less memory, and events can't be told by their numbers.
        """
        from trivet.monitor.runs.sealing import read_all, tail_chunks

        for _ in range(_SCAN_TRIES):
            with self._lock, self._tail.reading():
                segments, tail = self._tail.segments(), list(tail_chunks(self._tail.events()))
            tail += tail_chunks(also)
            try:
                return read_all(self._folder, segments, tail, memory_limit_bytes, identities=identities)
            except FileNotFoundError:
                continue  # compacted after we looked: the next look sees the new segments
        raise TrivetError(f"{self._folder} was compacted {_SCAN_TRIES} times while it was read: try again")

    def seal(self) -> int:
        """Move the tail into a segment; returns how many events that were."""
        with self._lock, self._tail.writing():
            return self._seal_tail()

    def compact(self) -> int:
        """Merge neighbours that are not full, group by group; returns how many segments were merged."""
        with self._lock, self._tail.writing():
            self._seal_tail()
        merged: set[str] = set()
        before = {segment.name for segment in self.segments()}
        while group := self._merge_one_group():
            merged |= group
        self._remove_leftovers()
        return len(merged & before)

    def retain(self, before_ns: int) -> int:
        """Forget events older than `before_ns`; returns how many."""
        from trivet.monitor.runs.segment_merging import newer_segment

        with self._lock, self._tail.writing():
            gone = self._tail.clear(before_ns)
            old = [segment for segment in self._tail.segments() if segment.first_ns < before_ns]
            for segment in old:
                kept = newer_segment(self._folder, segment, before_ns, self._tail.next_segment())
                gone += segment.rows - (kept.rows if kept else 0)
                self._tail.replace_segments([segment], [kept] if kept else [])
        self._remove_leftovers()
        return gone

    def segments(self) -> list[Segment]:
        """The sealed segments, oldest first."""
        with self._lock, self._tail.reading():
            return self._tail.segments()

    def _not_sealed(self, batch: Sequence[Event]) -> Sequence[Event]:
        """Those of `batch` that no segment holds; mostly no segment knows their runs at all."""
        runs = {event.run for event in batch}
        segments = [
            segment for segment in self._tail.segments() if may_hold(self._folder, segment.name, runs)
        ]
        if not segments:
            return batch
        from trivet.monitor.runs.sealing import sealed_ids

        known = sealed_ids(self._folder, segments, runs)
        return [event for event in batch if (event.run, event.source, event.sequence) not in known]

    def _merge_one_group(self) -> set[str]:
        """Merge the oldest segments that should be one; their names. Writers wait no longer than for that."""
        from trivet.monitor.runs.segment_merging import MOST_AT_ONCE, merge_segments

        with self._lock, self._tail.writing():
            group: list[Segment] = []
            for segment in self._tail.segments():
                if segment.rows >= FULL_ROWS:
                    continue
                group.append(segment)
                if len(group) == MOST_AT_ONCE or sum(one.rows for one in group) >= FULL_ROWS:
                    break
            if len(group) < 2:
                return set()
            merged = merge_segments(self._folder, group, self._tail.next_segment())
            self._tail.replace_segments(group, [merged])
        return {segment.name for segment in group}

    def _seal_tail(self) -> int:
        from trivet.monitor.runs.sealing import read_all, tail_chunks

        table = read_all(self._folder, [], tail_chunks(self._tail.events()), 0)
        if len(table):
            self._tail.replace_segments([], [self._write(table)])
            self._tail.clear()
        return len(table)

    def _write(self, table: "EventTable") -> Segment:
        """Write a segment under a new number; what a killed writer left under it is overwritten."""
        from trivet.monitor.runs.segments import write_segment

        return write_segment(self._folder, table, self._tail.next_segment())

    def _remove_leftovers(self) -> None:
        """Delete files that are no longer, or were never, part of the store."""
        from trivet.monitor.runs.segments import remove_segment_files

        with self._lock, self._tail.writing():
            remove_segment_files(self._folder, self._tail.segments())
