"""Checks one bank's records against the index, and mends them from another bank's good copies.

Rule: a row is right when its MAC is and it stands at the slot the index tells; nothing is put to a vote.
Rule: a repair starts from a verified row, is written, read back and verified; only then is it "fixed".
"""

from collections.abc import Callable, Collection, Sequence

from trivet.errors import ProtocolError
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.findings import PathFinder, row_finding
from trivet.keeper.journal import Journal
from trivet.keeper.log_sums import sums_before
from trivet.keeper.log_transfer import Refused, ask, list_rows
from trivet.quorum.digests import differing_buckets
from trivet.quorum.leader_log import LeaderLog
from trivet.wire.bank_messages import DeleteRows, Digest, Digests, GetRecords, PutRows, Rows
from trivet.wire.control_messages import Finding, Verdict
from trivet.wire.journal_messages import Refusal
from trivet.wire.records import Row, row_is_valid

KEYS_AT_ONCE = 256
TIMEOUT_S = 10.0


class RowCheck:
    """Compares and mends records; `on_compared(base)` hears of a bank whose rows all add up."""

    def __init__(
        self, journal: Journal, log: LeaderLog, volume_key: bytes, on_compared: Callable[[int], None]
    ) -> None:
        self._journal = journal
        self._log = log
        self._on_compared = on_compared
        self._key = volume_key
        self.checked = 0

    async def differing_keys(self, server: ServerLink, at: int) -> set[bytes]:
        """Return the keys whose rows on `server` may be wrong: all of the buckets that do not add up.

        `at` is a durable slot; the server applies at least through it and is judged where it then stands.
        """
        reply, _ = await ask(server, Digest(at))
        if not isinstance(reply, Digests):
            raise ProtocolError(f"server {server.port} does not answer a digest")
        self.checked += reply.rows
        log = self._log
        if not log.floor <= reply.at <= log.head:
            return set()
        expected = sums_before(self._journal.index.sums(), log.above(reply.at))
        keys = set(reply.damaged)
        differing = differing_buckets(expected, reply.sums)
        if not differing and not keys:
            self._on_compared(server.base)
        for bucket in differing:
            for one in {server.port: server, **{s.port: s for s in self._journal.acceptors_at(0)}}.values():
                async for rows in list_rows(one, bucket):
                    keys.update(row.key for row in rows)
        return keys

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
        if server not in self._journal.acceptors_at(self._journal.head_slot):
            return []  # it has not got everything yet; the next refresh looks again
        flaws = await self._flaws(server, keys)
        self.checked += len(keys)
        if not flaws:
            return []
        sources = await self._good_rows(server, [key for key in flaws if self._journal.slot_of(key)])
        if apply:
            await self._write(server, flaws, sources)
            left = await self._flaws(server, list(flaws))
        else:
            left = flaws
        findings = []
        for key, why in flaws.items():
            source = sources.get(key)
            verdict: Verdict = "would fix" if source or not self._journal.slot_of(key) else "cannot fix"
            if apply:
                verdict = "cannot fix" if key in left else "fixed"
            port = source[1].port if source else None
            findings.append(row_finding(verdict, key, server.port, why, paths, port))
        return findings

    async def _flaws(self, server: ServerLink, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return what is wrong with the rows of `keys` on `server`, leaving out what is on its way.

        A key counts only if it stood still from before the rows were asked for until they came.
        """
        journal = self._journal
        settled = {key: journal.slot_of(key) for key in keys if not journal.is_fresh(key)}
        rows = await self._rows(server, list(settled))
        return {
            key: why
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
        if row.slot < slot:
            return f"outdated (slot {row.slot} instead of {slot})"
        return "" if slot else "should be gone"

    async def _rows(self, server: ServerLink, keys: Sequence[bytes]) -> dict[bytes, Row]:
        reply, _ = await server.ask_journal(GetRecords(list(keys)), timeout_s=TIMEOUT_S)
        if isinstance(reply, Refusal):
            raise Refused(reply)
        assert isinstance(reply, Rows)
        return {row.key: row for row in reply.rows}

    async def _good_rows(
        self, server: ServerLink, keys: Sequence[bytes]
    ) -> dict[bytes, tuple[Row, ServerLink]]:
        """Return verified rows for `keys` from other banks, with the server each came from."""
        found: dict[bytes, tuple[Row, ServerLink]] = {}
        for other in self._journal.acceptors_at(0):
            wanted = [key for key in keys if key not in found]
            if other is server or not wanted:
                continue
            for key, row in (await self._rows(other, wanted)).items():
                if row_is_valid(self._key, row) and row.slot == self._journal.slot_of(key):
                    found[key] = row, other
        return found

    async def _write(
        self, server: ServerLink, flaws: Collection[bytes], sources: dict[bytes, tuple[Row, ServerLink]]
    ) -> None:
        good = [row for row, _ in sources.values()]
        if good:
            await ask(server, PutRows(good))
        gone = [key for key in flaws if not self._journal.slot_of(key)]
        if gone:
            rows = await self._rows(server, gone)
            await ask(server, DeleteRows([(key, row.slot) for key, row in rows.items()]))
