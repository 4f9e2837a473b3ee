"""From files or a store to clean events and their phases: where every verb of `trivet runs` begins."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trivet.errors import InputError
from trivet.insight.runs.cleaning import CleanEvents, Finding, Rules, clean
from trivet.insight.runs.event_table import EventTable, Mask
from trivet.insight.runs.phases import Phase, phases_of
from trivet.monitor.runs.event_files import memory_limit_bytes, read_files
from trivet.monitor.runs.event_store import EventStore
from trivet.monitor.runs.time_columns import TimeFormat


@dataclass(frozen=True, slots=True)
class Question:
    """How input is read and cleaned: the options of the command line, ready for use.

    `where` keeps the runs that have all of its (dimension, value) pairs.
    """

    times: TimeFormat = field(default_factory=TimeFormat)
    format_: str = ""
    memory_mib: int = 0
    rules: Rules = field(default_factory=Rules)
    declared: tuple[Phase, ...] = ()
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """Clean `events`, the `phases` they show, and all `findings` of reading and cleaning."""

    events: CleanEvents
    phases: tuple[Phase, ...]
    findings: tuple[Finding, ...]


def analyse(paths: Sequence[Path], question: Question) -> Analysis:
    """Read `paths` (files or a store) and clean them as `question` says; InputError when none is left."""
    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise InputError(f"{folders[0]} is a store: look at it alone, or import the files into it")
    if folders:
        return analyse_table(_scan(folders[0], question.memory_mib), question)
    read = read_files(paths, times=question.times, format_=question.format_, memory_mib=question.memory_mib)
    return analyse_table(read.table, question, read.findings)


def analyse_table(table: EventTable, question: Question, findings: tuple[Finding, ...] = ()) -> Analysis:
    """Clean a `table` that was read already, with the `findings` of reading it."""
    if question.where:
        table = table.only(_chosen_runs(table, question.where)[table.run])
    events = clean(table, question.rules, time.time_ns())
    found = (*findings, *events.findings)
    if not len(events.table):
        told = "; ".join(finding.words for finding in found)
        raise InputError(f"no events to look at{': ' + told if told else ''}")
    return Analysis(events, phases_of(_present(events.table), question.declared), found)


def _scan(folder: Path, memory_mib: int) -> EventTable:
    store = EventStore(folder, create=False)
    try:
        return store.scan(memory_limit_bytes(memory_mib), identities=False)
    finally:
        store.close()


def _chosen_runs(table: EventTable, where: tuple[tuple[str, str], ...]) -> Mask:
    mask = np.ones(len(table.run_ids), np.bool_)
    for dimension, value in where:
        if dimension not in table.dimensions:
            known = ", ".join(sorted(table.dimensions)) or "none"
            raise InputError(f"no dimension '{dimension}': the table has {known}")
        mask &= table.runs_where(dimension, value)
    return mask


def _present(table: EventTable) -> list[str]:
    return [str(n) for n, count in zip(table.names, table.events_per_name(), strict=True) if count]
