"""Checks one bank's records against the index, and mends them from another bank's good copies.

Rule: a row is right when its MAC is and it stands at the slot the index tells; nothing is put to a vote.
Rule: a repair starts from a verified row (of a bank, or of the log), is written, read back and verified; only
then is it "fixed".
Rule: a bank counts as compared when its sums are right but for rows that neither a bank nor the log has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

import msgspec

from trivet.keeper.bank_links import ServerLink
from trivet.keeper.findings import PathFinder, row_finding, trace_of
from trivet.keeper.journal import Journal
from trivet.keeper.log_sums import sums_before, sums_but_for
from trivet.keeper.log_transfer import Refused, ask, ask_digest
from trivet.keeper.row_listing import side_by_side
from trivet.quorum.digests import differing_buckets, sum_of
from trivet.quorum.reign import Reign
from trivet.wire.bank_messages import DAMAGED_TOLD, DeleteRows, Digests, GetRecords, PutRows, Rows
from trivet.wire.control_messages import Finding, Verdict
from trivet.wire.journal_messages import Refusal
from trivet.wire.records import Row, add_terms, bucket_of, digest_term, record_mac, row_is_valid

KEYS_AT_ONCE = 256
CATCH_UP_LOOKS, CATCH_UP_LOOK_S = 50, 0.01
TIMEOUT_S = 10.0
SUM_TRIES = 3


class OnCompared(Protocol):
    """Hears of banks that were compared."""

    def __call__(self, bank: int, /, *, whole: bool) -> None:
        """The rows of `bank` add up; not `whole`: but for some that a bank which is away may have."""


class RowCheck:
    """Compares and mends records; `on_compared(base, whole=...)` hears of a bank whose rows all add up.

    `known_keys(buckets)` are the keys that the volume in memory has in some buckets.
    Banks take what `reign` repairs only as long as no other one was promised.
    """

    def __init__(
        self,
        journal: Journal,
        reign: Reign,
        volume_key: bytes,
        on_compared: OnCompared,
        known_keys: Callable[[Collection[int]], Awaitable[set[bytes]]],
    ) -> None:
        self._journal = journal
        self._log = reign.log
        self._epoch = reign.epoch
        self._on_compared = on_compared
        self._bases = list(reign.followers)
        self._known_keys = known_keys
        self._key = volume_key
        self._lost: dict[int, dict[bytes, tuple[int, int]]] = {}
        self.checked = 0

    async def differing_keys(self, server: ServerLink, at: int) -> set[bytes]:
        """Return the keys whose rows on `server` may be wrong: all of the buckets that do not add up.

        `at` is a durable slot; the server applies at least through it and is judged where it then stands.
        """
        reply = await self._sums_of(server, at)
        self.checked += reply.rows
        log = self._log
        if not log.floor <= reply.at <= log.head:
            return set()
        expected = sums_before(self._journal.index.sums(), log.above(reply.at))
        keys = set(reply.damaged)
        differing = differing_buckets(expected, reply.sums)
        lost = self._still_lost(server.base)
        excused = sums_but_for(expected, lost) if lost else expected
        if not differing_buckets(excused, reply.sums) and keys <= lost.keys():
            self._on_compared(server.base, whole=self._is_nowhere(lost))
        if not differing:
            return keys
        all_told = len(reply.damaged) < DAMAGED_TOLD
        return keys | await self._keys_in(frozenset(differing), server, all_told=all_told)

    async def _sums_of(self, server: ServerLink, at: int) -> Digests:
        """Return the sums of `server`; one that had to make its table anew meanwhile is asked again."""
        for _ in range(SUM_TRIES):
            reply = await ask_digest(server, at, len(self._journal.index))
            if reply.at >= 0:
                break
        return reply

    async def _keys_in(self, buckets: Collection[int], server: ServerLink, *, all_told: bool) -> set[bytes]:
        """Return the keys of `buckets` that `server` does not have at their slot, and those all banks lack.

        Unless `all_told` rows at their slot may be damaged, too.
        """
        journal, sums = self._journal, dict.fromkeys(buckets, 0)
        keys: set[bytes] = set()
        others = [one for one in journal.acceptors_at(0) if one is not server]
        async for held, *elsewhere in side_by_side([server, *others], buckets):
            for key in set(held).union(*elsewhere):
                slot = journal.slot_of(key)
                if slot:
                    sums[bucket_of(key)] += digest_term(key, slot)
                if held.get(key, 0) != slot or not all_told:
                    keys.add(key)
        expected = journal.index.sums()
        hidden = {bucket for bucket in buckets if sum_of(expected, bucket) != add_terms(sums[bucket], 0)}
        return keys | await self._known_keys(hidden) if hidden else keys

    def _still_lost(self, base: int) -> dict[bytes, tuple[int, int]]:
        """Return key -> (slot it should stand at, slot it stands at) of the bank's rows that nobody has."""
        lost = self._lost.get(base, {})
        return {key: slots for key, slots in lost.items() if self._journal.slot_of(key) == slots[0]}

    def _is_nowhere(self, lost: Collection[bytes]) -> bool:
        """Tell whether every bank is known to lack the `lost` rows, also one that is away."""
        return all(key in self._still_lost(base) for base in self._bases for key in lost)

    async def mend(
        self, server: ServerLink, keys: Collection[bytes], paths: PathFinder, *, apply: bool
    ) -> list[Finding]:
        """Check `keys` on `server`; mend what is wrong if `apply`; return what was found."""
        findings: list[Finding] = []
        ordered = sorted(keys)
        for at in range(0, len(ordered), KEYS_AT_ONCE):
            findings += await self._mend_some(server, ordered[at : at + KEYS_AT_ONCE], paths, apply=apply)
        return findings

    async def _mend_some(
        self, server: ServerLink, keys: Sequence[bytes], paths: PathFinder, *, apply: bool
    ) -> list[Finding]:
        if not await self.has_everything(server):
            return []  # the next refresh looks again
        flaws = await self._flaws(server, keys)
        self.checked += len(keys)
        if not flaws:
            return []
        sources = await self._good_rows(server, [key for key in flaws if self._journal.slot_of(key)])
        if apply:
            await self._write(server, flaws, sources)
            left = await self._flaws(server, list(flaws))
            await self._note_lost(server, [key for key in left if key not in sources])
        else:
            left = flaws
        findings = []
        for key, (why, row) in flaws.items():
            source = sources.get(key)
            verdict: Verdict = "would fix" if source or not self._journal.slot_of(key) else "cannot fix"
            if apply:
                verdict = "cannot fix" if key in left else "fixed"
            found = row_finding(verdict, key, server.port, why, paths, source[1] if source else None)
            before = trace_of(row.value if row else None)
            after = trace_of(source[0].value if source else None)
            findings.append(msgspec.structs.replace(found, before=before, after=after))
        return findings

    async def has_everything(self, server: ServerLink) -> bool:
        """Wait a moment until `server` holds the whole log; while people write there are such instants."""
        for _ in range(CATCH_UP_LOOKS):
            if server in self._journal.acceptors_at(self._journal.head_slot):
                return True
            await asyncio.sleep(CATCH_UP_LOOK_S)
        return False

    async def _note_lost(self, server: ServerLink, keys: Sequence[bytes]) -> None:
        """Remember rows that nobody has: waiting for them would keep the log for ever."""
        wanted = {key: slot for key in keys if (slot := self._journal.slot_of(key))}
        if not wanted:
            return
        rows = await self._rows(server, list(wanted))
        lost = self._still_lost(server.base)
        for key, slot in wanted.items():
            row = rows.get(key)
            lost[key] = slot, row.slot if row is not None and row_is_valid(self._key, row) else 0
        self._lost[server.base] = lost

    async def _flaws(self, server: ServerLink, keys: Sequence[bytes]) -> dict[bytes, tuple[str, Row | None]]:
        """Return (what is wrong, the row) of those `keys` on `server`, leaving out what is on its way.

        A key counts only if it stood still from before the rows were asked for until they came.
        """
        journal = self._journal
        settled = {key: journal.slot_of(key) for key in keys if not journal.is_fresh(key)}
        rows = await self._rows(server, list(settled))
        return {
            key: (why, rows.get(key))
            for key, slot in settled.items()
            if not journal.is_fresh(key)
            and journal.slot_of(key) == slot
            and (why := self._flaw(slot, rows.get(key)))
        }

    def _flaw(self, slot: int, row: Row | None) -> str:
        """Return what is wrong with `row` of a key that stands at `slot` (0: it does not exist)."""
        if row is None:
            return "missing" if slot else ""
        if not row_is_valid(self._key, row):
            return "checksum differs"
        if not slot:
            return "should be gone"
        if row.slot < slot:
            return f"outdated (slot {row.slot} instead of {slot})"
        return f"of a history that was given up (slot {row.slot})" if row.slot > slot else ""

    async def _rows(self, server: ServerLink, keys: Sequence[bytes]) -> dict[bytes, Row]:
        reply, _ = await server.ask_journal(GetRecords(list(keys)), timeout_s=TIMEOUT_S)
        if isinstance(reply, Refusal):
            raise Refused(reply)
        assert isinstance(reply, Rows)
        return {row.key: row for row in reply.rows}

    async def _good_rows(
        self, server: ServerLink, keys: Sequence[bytes]
    ) -> dict[bytes, tuple[Row, int | None]]:
        """Return verified rows for `keys` from other banks, or of the log, with the port each came from."""
        found: dict[bytes, tuple[Row, int | None]] = {}
        for other in self._journal.acceptors_at(0):
            wanted = [key for key in keys if key not in found]
            if other is server or not wanted:
                continue
            for key, row in (await self._rows(other, wanted)).items():
                if row_is_valid(self._key, row) and row.slot == self._journal.slot_of(key):
                    found[key] = row, other.port
        for key in keys:
            if key not in found and (logged := self._row_of_log(key)) is not None:
                found[key] = logged, None
        return found

    def _row_of_log(self, key: bytes) -> Row | None:
        """Return the row that the log, as far as it is not trimmed, gives `key`."""
        slot = self._journal.slot_of(key)
        if not self._log.floor < slot <= self._log.head:
            return None
        (entry, *_) = self._log.above(slot - 1)
        value = next(op.value for op in entry.body.ops if op.key == key)
        assert value is not None
        return Row(key, slot, value, record_mac(self._key, key, slot, value))

    async def _write(
        self, server: ServerLink, flaws: Collection[bytes], sources: dict[bytes, tuple[Row, int | None]]
    ) -> None:
        """Write good rows, and delete what should be gone.

        A key that was changed since its row was read is left alone: the change is on its way on this link,
        and a row written behind it could bring back what it deletes.
        """
        slot_of = self._journal.slot_of
        rows = await self._rows(server, list(flaws))
        gone = [(key, row.slot) for key, row in rows.items() if not slot_of(key) or row.slot > slot_of(key)]
        if gone:
            await ask(server, DeleteRows(gone, self._epoch))
        good = [row for row, _ in sources.values() if slot_of(row.key) == row.slot]
        if good:
            await ask(server, PutRows(good, self._epoch))
