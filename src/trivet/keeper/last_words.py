"""The last words: what people did last, kept beside the high-water mark to be named when it is lost.

Rule: they are words only: nothing is decided by them, so they are not synced; what can't be read is left out.
Rule: bounded in all they cost: each round tells at most the newest ENTRIES_AT_ONCE entries, looks through at
most NAMES_AT_ONCE names, and the two files together hold 2 * FILE_BYTES.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import msgspec

from trivet.keeper.findings import PathFinder
from trivet.keeper.owned_task import own_task
from trivet.quorum.reign import Reign
from trivet.volume.deeds import Deed, EntryDeeds
from trivet.volume.interface import PRIVATE_INO, ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.wire.entries import Entry, Epoch
from trivet.wire.path_text import path_text
from trivet.wire.records import ino_of, name_of
from trivet.wire.recover_messages import Operation

log = logging.getLogger(__name__)

EVERY_S = 0.5
ENTRIES_AT_ONCE = 1000
ENTRY_BYTES_AT_ONCE = 512 << 10
NAMES_AT_ONCE = 20_000
FILE_BYTES = 128 << 10
LINE_BYTES = 96 << 10
_NAME = "last_changes"
_PARENTS_MAX = 64
_TOPS = {ROOT_INO: "/", PRIVATE_INO: "(private)/"}


class Told(msgspec.Struct, frozen=True):
    """All `operations` of the entries behind slot `after` through slot `through`, of one epoch's keeper."""

    epoch: Epoch
    after: int
    through: int
    operations: list[Operation]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Told).decode


class LastWords:
    """Tells below `folder` what becomes durable under `reign` in the volume `space`, until `close`."""

    def __init__(self, folder: Path, reign: Reign, space: Namespace) -> None:
        self._file = folder / _NAME
        self._reign = reign
        self._space = space
        told = read_words([folder])
        # What an earlier reign told above the barrier was given up by people.
        self._through = min(told[-1].through, reign.barrier - 1) if told else 0
        self._closing = asyncio.Event()
        self._running = own_task(self._run())

    async def close(self) -> None:
        """End, all told that is durable."""
        self._closing.set()  # not cancelled: a round that was broken off would be missing
        await asyncio.gather(self._running, return_exceptions=True)
        await self._tell()

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._tell()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), EVERY_S)

    async def _tell(self) -> None:
        entries = self._due()
        if not entries:
            return
        found = await asyncio.to_thread(deeds_of, entries)
        named: dict[int, bytes] = {}
        for deeds in found.values():
            named.update(deeds.names)
        paths = Paths(named, PathFinder(self._space, NAMES_AT_ONCE))
        lines = []
        for epoch, run in groupby(entries, lambda entry: entry.epoch):
            slots = [entry.slot for entry in run]
            told = [operation(slot, deed, paths) for slot in slots for deed in found[slot].deeds]
            lines.append(_line(Told(epoch, slots[0] - 1, slots[-1], told)))
        await asyncio.to_thread(self._append, b"".join(lines))

    def _due(self) -> list[Entry]:
        """Return the newest entries that became durable since the last round, bounded."""
        held, durable = self._reign.log, self._reign.marks.durable
        due: list[Entry] = []
        size = 0
        for slot in range(durable, max(self._through, held.floor), -1):
            entry = held.entries[slot - held.floor - 1]
            size += len(entry.raw)
            if due and (len(due) >= ENTRIES_AT_ONCE or size > ENTRY_BYTES_AT_ONCE):
                break
            due.append(entry)
        self._through = max(durable, self._through)
        return due[::-1]

    def _append(self, lines: bytes) -> None:
        try:
            if self._file.exists() and self._file.stat().st_size + len(lines) > FILE_BYTES:
                self._file.replace(_older(self._file))
            with self._file.open("ab") as file:
                file.write(lines)
        except OSError as error:  # a full disk: what would be lost has no words then
            log.warning("the last changes can't be written down: %s", error)


class Paths:
    """Names keys: as the volume has them `now`, else as the entries' own `named` (inode to `d/` key) do."""

    def __init__(self, named: Mapping[int, bytes], now: PathFinder | None = None) -> None:
        self._now = now
        self._named = named

    def of(self, key: bytes, parents_left: int = _PARENTS_MAX) -> str:
        """Return the path of a `d/` or `i/` key as text; "(inode 17)" for what no name is known of."""
        path = self._of_inode(ino_of(key), parents_left)
        return f"{path.rstrip('/')}/{path_text(name_of(key))}" if key[:2] == b"d/" else path

    def _of_inode(self, ino: int, parents_left: int) -> str:
        if ino in _TOPS:
            return _TOPS[ino]
        path = "" if self._now is None else self._now.path_of(ino)
        if path and not path.startswith("(inode"):
            return path
        key = self._named.get(ino)
        return self.of(key, parents_left - 1) if key is not None and parents_left else f"(inode {ino})"


def operation(slot: int, deed: Deed, paths: Paths, held_by: Iterable[int] = ()) -> Operation:
    """Return `deed`, which the entry at `slot` did, in words."""
    to = paths.of(deed.to) if deed.to else ""
    return Operation(slot, deed.what, paths.of(deed.key), to, deed.at_ns, list(held_by))


def deeds_of(entries: Iterable[Entry]) -> dict[int, EntryDeeds]:
    """Return what each entry did, by slot."""
    return {entry.slot: EntryDeeds(entry.body.ops) for entry in entries}


def read_words(folders: Iterable[Path]) -> list[Told]:
    """Return what keepers told below `folders`, in order, each slot once: as the newest reign has it.

    Lines that a power cut tore are left out, and so is what was given up later.
    """
    lines: list[Told] = []
    for folder in folders:
        for file in (_older(folder / _NAME), folder / _NAME):
            try:
                content = file.read_bytes()
            except OSError:
                continue
            for line in content.split(b"\n"):
                with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                    lines.append(_decode(line))
    told: list[Told] = []
    for one in sorted(lines, key=lambda line: (line.epoch, line.after, line.through)):
        while told and told[-1].after >= one.after:
            told.pop()
        if told and told[-1].through > one.after:
            told.append(_through(told.pop(), one.after))
        told.append(one)
    return told


def _through(told: Told, slot: int) -> Told:
    kept = [operation for operation in told.operations if operation.slot <= slot]
    return Told(told.epoch, told.after, slot, kept)


def _line(told: Told) -> bytes:
    """Return `told` as a line, without its oldest operations if it is too long; it ends one torn before."""
    size, first = 0, len(told.operations)
    while first and size < LINE_BYTES:
        first -= 1
        size += len(_encode(told.operations[first]))
    after = told.operations[first].slot if first else told.after
    kept = [operation for operation in told.operations[first:] if operation.slot > after]
    return b"\n" + _encode(Told(told.epoch, after, told.through, kept)) + b"\n"


def _older(file: Path) -> Path:
    return file.with_name(file.name + ".old")
