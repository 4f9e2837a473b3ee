"""Which operations go when rolled back banks go on: as keepers wrote them down, as journals hold them.

Rule: nothing is decided or changed here: journals are read as any keeper that stands by reads them.
Rule: an entry that was never acknowledged and lost an election long ago is no loss, and is not told.
What some bank holds is told if it leads to the mark, goes on from what stays, or two banks hold it.
"""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from trivet.errors import ProtocolError, ReplicaError
from trivet.keeper.bank_links import MAJORITY
from trivet.keeper.last_words import Paths, deeds_of, operation, read_words
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.log_transfer import read_log
from trivet.quorum.leader import Leader
from trivet.quorum.leader_log import LeaderLog
from trivet.volume.deeds import EntryDeeds
from trivet.wire.entries import NO_EPOCH, Entry, Epoch
from trivet.wire.recover_messages import Operation, moment_text

log = logging.getLogger(__name__)

LISTED_MAX = 400


class Lost(NamedTuple):
    """Operations that go, by slots; `unknown` are sentences about slots of which nobody knows more."""

    operations: list[Operation]
    left_out: int
    unknown: list[str]


class _Kept(NamedTuple):
    """The history that would be kept: through slot `head`; `log` is what was read of it, maybe nothing."""

    head: int
    log: LeaderLog | None

    @property
    def epoch(self) -> Epoch:
        """Who wrote its last entry."""
        return self.log.entries[-1].epoch if self.log is not None and self.log.entries else NO_EPOCH

    def has(self, slot: int, epoch: Epoch) -> bool:
        """Tell whether the entry that `epoch`'s keeper made at `slot` stays; it made one there at most."""
        if slot > self.head:
            return False
        if self.log is None or slot <= self.log.floor:
            return True
        return self.log.entries[slot - self.log.floor - 1].epoch == epoch


class _Held(NamedTuple):
    """An entry that does not stay, and the banks whose journals have it."""

    entry: Entry
    banks: list[int]


_Place = tuple[int, Epoch]


async def find_lost(shell: LeaderShell, volume_key: bytes, folders: Iterable[Path], through: int) -> Lost:
    """Return what goes, up to slot `through` at least, if the takeover of `shell`'s leader went on as it is.

    `folders` are those in which this volume's keepers write their last words.
    """
    kept = _kept(shell.leader)
    held = await _held_entries(shell, volume_key, kept)
    known_log = kept.log.entries if kept.log is not None else []
    before = await asyncio.to_thread(deeds_of, known_log)
    deeds = await asyncio.to_thread(
        lambda: {place: EntryDeeds(one.entry.body.ops) for place, one in held.items()}
    )
    told = await asyncio.to_thread(read_words, list(folders))
    gone: dict[_Place, list[Operation]] = {}
    for line in told:
        for word in line.operations:
            if not kept.has(word.slot, line.epoch):
                gone.setdefault((word.slot, line.epoch), []).append(word)
    named: dict[int, bytes] = {}
    for entry_deeds in (*before.values(), *deeds.values()):
        named.update(entry_deeds.names)
    paths = Paths(named)
    for (slot, epoch), one in held.items():
        words = gone.get((slot, epoch)) or [operation(slot, deed, paths) for deed in deeds[slot, epoch].deeds]
        gone[slot, epoch] = [msgspec.structs.replace(word, held_by=one.banks) for word in words]
    operations = [one for place in sorted(gone) for one in gone[place]]
    times = [(slot, one.at_ns) for slot, one in (*before.items(), *((p[0], d) for p, d in deeds.items()))]
    times += [(one.slot, one.at_ns) for line in told for one in line.operations]
    known = [(line.after, line.through) for line in told] + [(slot - 1, slot) for slot, _ in held]
    end = max([through, *(line.through for line in told)])
    unknown = [_untold(first, last, times) for first, last in _gaps(known, kept.head, end)]
    left_out = max(len(operations) - LISTED_MAX, 0)
    half = LISTED_MAX // 2
    listed = operations[:half] + operations[-half:] if left_out else operations
    return Lost(listed, left_out, unknown)


def _kept(leader: Leader) -> _Kept:
    source, log_read = leader.election.candidate(), leader.election.log
    identity = leader.reign.followers[source].identity if source is not None else None
    if identity is None:
        return _Kept(0, None)
    is_read = (log_read.head, log_read.head_hash) == (identity.head, identity.head_hash)
    return _Kept(identity.head, log_read if is_read else None)


async def _held_entries(shell: LeaderShell, volume_key: bytes, kept: _Kept) -> dict[_Place, _Held]:
    """Return the entries that do not stay and that some bank's journal still has, by slot and epoch."""
    held: dict[_Place, _Held] = {}
    lost: set[_Place] = set()
    mark, mark_hash = shell.leader.election.known
    for bank, follower in shell.leader.reign.followers.items():
        said = follower.identity
        if said is None or said.standing not in ("voter", "suspect"):
            continue
        if kept.log is not None and kept.log.joins(said.head, said.head_hash):
            continue
        try:
            entries = await read_log(shell.acceptor(bank), volume_key, said.floor, said.floor_hash, said.head)
        except (ReplicaError, ProtocolError) as error:
            log.warning("the journal of bank %s can't be read: %s", bank, error)
            continue
        has_mark = any(entry.slot == mark and entry.hash == mark_hash for entry in entries)
        for entry in entries:
            place = entry.slot, entry.epoch
            if kept.has(*place):
                continue
            banks = held.setdefault(place, _Held(entry, [])).banks
            banks.append(bank)
            was_durable = has_mark and entry.slot <= mark
            follows = entry.slot > kept.head and entry.epoch >= kept.epoch
            if was_durable or follows or len(banks) >= MAJORITY:
                lost.add(place)
    return {place: one for place, one in held.items() if place in lost}


def _gaps(known: Iterable[tuple[int, int]], after: int, through: int) -> list[tuple[int, int]]:
    """Return (first, last) slot of each part of `after`+1..`through` that no (after, through) covers."""
    gaps = []
    for begin, end in sorted(known):
        if begin > after:
            gaps.append((after + 1, min(begin, through)))
        after = max(after, end)
        if after >= through:
            return gaps
    return [*gaps, (after + 1, through)] if after < through else gaps


def _untold(first: int, last: int, times: Iterable[tuple[int, int | None]]) -> str:
    """Say that nobody knows what the entries `first` to `last` were, and when they were made."""
    known = [(slot, at_ns) for slot, at_ns in times if at_ns is not None]
    before = max(((slot, at) for slot, at in known if slot < first), default=None)
    behind = min(((slot, at) for slot, at in known if slot > last), default=None)
    span = [f"after {moment_text(before[1])}"] if before else []
    span += [f"before {moment_text(behind[1])}"] if behind else []
    when = f" (made {' and '.join(span)})" if span else ""
    return f"slots {first} to {last}{when}: nobody knows any more what they were"
