"""Loading: the namespace and the index, built from the banks' rows and proved by the log's sums.

Rule: rows are believed by their MAC; that none is missing, old or extra is believed by the sums alone.
Rule: one bank's rows are enough if they add up: not even a body is read, whoever reads it verifies it.
Rule: the parts in which no bank's rows add up are settled from all banks; what can't be proved is not served.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trivet.errors import NoMajority, ReplicaError
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.log_transfer import ROWS_AT_ONCE, ask_digest, list_portions, list_rows
from trivet.quorum.digests import SUM_BYTES, RecordIndex
from trivet.quorum.leader_log import LeaderLog
from trivet.quorum.record_history import RecordHistory
from trivet.quorum.record_loading import BankRows, BucketState, settle_bucket
from trivet.volume.loading import Loading
from trivet.wire.bank_messages import ListRecords
from trivet.wire.records import BUCKETS, Row, bucket_of, row_is_valid

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one bank's rows compare with what the log says of them."""

    server: ServerLink
    at: int
    bad_buckets: frozenset[int]


class Loader:
    """Loads one volume over the log `held`; servers are asked to have carried it out through slot `at`.

    What is behind it is taken from the log. `on_progress` is told how many records are read, again and again.
    """

    def __init__(
        self, held: LeaderLog, at: int, volume_key: bytes, on_progress: Callable[[int], None]
    ) -> None:
        self._held = held
        self._at = at
        self._key = volume_key
        self._on_progress = on_progress
        self._history = RecordHistory(held.floor, held.entries)

    async def load_from(self, server: ServerLink, loading: Loading) -> RecordIndex:
        """Feed every record into `loading`, as one server lists them, and return the index at the log's head.

        Raises ReplicaError where these rows do not prove to be all: `load` then asks the others, too.
        """
        index = RecordIndex(server.stat.records if server.stat is not None else 0)
        changed = self._changed_above(self._at)
        async for reply in list_portions(server, ListRecords(-1, b"", ROWS_AT_ONCE, self._at, bodies=False)):
            if reply.applied < self._at:
                raise ReplicaError(f"server {server.port} shows slot {reply.applied}, not yet {self._at}")
            for row in reply.rows:
                if row.key in changed:
                    continue
                if row.key.startswith(b"b/"):  # the sums prove its slot
                    index.exchange(row.key, row.slot)
                    loading.add(row.key, None)
                else:
                    self._take(row, server, index, loading)
            self._on_progress(len(index))
        self._follow_log(index, loading, self._at)
        self._prove(index)
        return index

    async def load(self, servers: Sequence[ServerLink], loading: Loading) -> RecordIndex:
        """Feed every record into `loading` and return the index at the log's head.

        `servers` are acceptors that hold the whole log. Raises NoMajority when the rows of all of them
        together can't be proved to be complete.
        """
        standings = await self._judge_all(servers)
        if not standings:
            raise NoMajority("no bank could list its records")
        best = min(standings, key=lambda standing: len(standing.bad_buckets))
        index = RecordIndex()
        for bucket in sorted(best.bad_buckets):
            state = await self._settle(bucket, standings)
            for key, (slot, value) in state.records.items():
                index.exchange(key, slot)
                loading.add(key, value)
            for key, slot in state.lost.items():
                log.error("%r of slot %s is damaged on every bank that answers: reading it fails", key, slot)
                index.exchange(key, slot)
                loading.add(key, None)  # a body's page: read from the banks when somebody wants it
        changed = self._changed_above(best.at)
        async for rows in list_rows(best.server):
            for row in rows:
                if bucket_of(row.key) not in best.bad_buckets and row.key not in changed:
                    self._take(row, best.server, index, loading)
            self._on_progress(len(index))
        self._follow_log(index, loading, best.at)
        self._prove(index)
        return index

    async def _judge_all(self, servers: Sequence[ServerLink]) -> list[Standing]:
        standings = []
        for server in servers:
            try:
                standings.append(await self._judge(server))
            except ReplicaError as error:
                log.warning("server %s can't be judged: %s", server.port, error)
        return standings

    async def _judge(self, server: ServerLink) -> Standing:
        """Have `server` sum its rows up and compare the sums with those the log tells."""
        reply = await ask_digest(server, self._at, server.stat.records if server.stat else 0)
        bad = {bucket_of(key) for key in reply.damaged}
        for bucket in range(BUCKETS):
            total = int.from_bytes(reply.sums[bucket * SUM_BYTES : (bucket + 1) * SUM_BYTES], "big")
            if self._history.sum_at(bucket, reply.at) != total:
                bad.add(bucket)
        if bad:
            log.warning(
                "server %s: %s of %s parts of its records do not add up", server.port, len(bad), BUCKETS
            )
        return Standing(server, reply.at, frozenset(bad))

    def _take(self, row: Row, server: ServerLink, index: RecordIndex, loading: Loading) -> None:
        if not row_is_valid(self._key, row):
            raise ReplicaError(f"a row of server {server.port} went bad while it was read")
        index.exchange(row.key, row.slot)
        loading.add(row.key, row.value)

    async def _settle(self, bucket: int, standings: Sequence[Standing]) -> BucketState:
        """Return the state of `bucket` at the head, out of what all banks hold of it.

        Pages of bodies may be lost in it: their files are in trouble, and say so when they are read. Without
        any other record a volume is not served.
        """
        banks: dict[int, BankRows] = {}
        for standing in standings:
            good: dict[bytes, Row] = {}
            damaged: dict[bytes, int] = {}
            async for rows in list_rows(standing.server, bucket):
                for row in rows:
                    if row_is_valid(self._key, row):
                        good[row.key] = row
                    else:
                        damaged[row.key] = row.slot
            banks[standing.server.bank] = BankRows(standing.at, good, frozenset(damaged), damaged)
        state = settle_bucket(bucket, banks, self._history)
        missing = state.doubtful | {key for key in state.lost if not key.startswith(b"b/")}
        if missing or not state.proven:
            names = ", ".join(repr(key) for key in sorted(missing)[:3])
            raise NoMajority(f"{len(missing)} records can't be proved from the banks that answer ({names})")
        return state

    def _changed_above(self, start: int) -> set[bytes]:
        """Return the keys that the log changes above slot `start`: what rows say of them is not the last."""
        return {op.key for entry in self._held.above(start) for op in entry.body.ops}

    def _follow_log(self, index: RecordIndex, loading: Loading, start: int) -> None:
        """Bring both from slot `start` to the head, whatever has been added to the log meanwhile."""
        last = {op.key: (entry.slot, op.value) for entry in self._held.above(start) for op in entry.body.ops}
        for key, (slot, value) in last.items():
            index.exchange(key, slot if value is not None else 0)
            if value is not None:
                loading.add(key, value)

    def _prove(self, index: RecordIndex) -> None:
        history = RecordHistory(self._held.floor, self._held.entries)
        sums = index.sums()
        for bucket in range(BUCKETS):
            total = int.from_bytes(sums[bucket * SUM_BYTES : (bucket + 1) * SUM_BYTES], "big")
            if history.sum_at(bucket, history.head) != total:
                raise ReplicaError("the rows do not add up, or changed while they were read")
