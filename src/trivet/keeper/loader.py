"""Loading: the namespace and the index, built from the banks' rows and proved by the log's sums.

Rule: rows are believed by their MAC; that none is missing, old or extra is believed by the sums alone.
Rule: when no bank's rows of a bucket add up, the rows of all are combined; if nothing adds up, nobody serves.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from trivet.errors import NoMajority, ReplicaError
from trivet.keeper.bank_links import ServerLink
from trivet.keeper.log_sums import differing_buckets, sums_at
from trivet.keeper.log_transfer import ask, list_rows
from trivet.quorum.digests import RecordIndex
from trivet.quorum.leader_log import LeaderLog
from trivet.volume.loading import Loading
from trivet.wire.bank_messages import Digest, Digests
from trivet.wire.records import BUCKETS, Row, bucket_of, row_is_valid

log = logging.getLogger(__name__)

COMBINATIONS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How one bank's rows compare with what the log says of them."""

    server: ServerLink
    at: int
    bad_buckets: frozenset[int]


async def judge(server: ServerLink, log_held: LeaderLog, at: int) -> Standing:
    """Have `server` sum its rows up, at slot `at` or later, and compare them with the log."""
    reply, _ = await ask(server, Digest(at))
    assert isinstance(reply, Digests)
    expected = sums_at(log_held.entries, log_held.floor, reply.at)
    if expected is None or reply.at > log_held.head:
        raise ReplicaError(f"the log does not tell the sums at slot {reply.at}")
    bad = set(differing_buckets(expected, reply.sums)) | {bucket_of(key) for key in reply.damaged}
    return Standing(server, reply.at, frozenset(bad))


async def load(
    servers: Sequence[ServerLink], log_held: LeaderLog, at: int, volume_key: bytes, loading: Loading
) -> RecordIndex:
    """Feed every record into `loading` and return the index at the log's head.

    `servers` are acceptors that hold the whole log; slot `at` is durable. Raises NoMajority when the rows of
    all of them together can't be proved to be complete.
    """
    standings = []
    for server in servers:
        try:
            standings.append(await judge(server, log_held, at))
        except ReplicaError as error:
            log.warning("server %s can't be judged: %s", server.port, error)
    if not standings:
        raise NoMajority("no bank could list its records")
    standings.sort(key=lambda standing: len(standing.bad_buckets))
    best = standings[0]
    index = RecordIndex()
    replaced: dict[int, dict[bytes, Row]] = {}
    for bucket in sorted(best.bad_buckets):
        replaced[bucket] = await _combine(bucket, standings, log_held, volume_key)
    async for rows in list_rows(best.server):
        for row in rows:
            if bucket_of(row.key) not in replaced:
                if not row_is_valid(volume_key, row):
                    raise ReplicaError(f"a row of server {best.server.port} went bad while it was read")
                _take(row, index, loading)
    for chosen in replaced.values():
        for row in chosen.values():
            _take(row, index, loading)
    _follow_log(index, log_held, best.at)
    expected = sums_at(log_held.entries, log_held.floor, log_held.head)
    if index.sums() != expected:
        raise ReplicaError("rows changed while they were read")
    return index


def _take(row: Row, index: RecordIndex, loading: Loading) -> None:
    index.exchange(row.key, row.slot)
    loading.add(row.key, row.value)


def _follow_log(index: RecordIndex, log_held: LeaderLog, start: int) -> None:
    """Bring the index from slot `start` to the head; a takeover adds configuration only."""
    for entry in log_held.above(start):
        for op in entry.body.ops:
            assert op.key.startswith(b"c/"), "only the leader itself writes before the volume is loaded"
            index.exchange(op.key, entry.slot if op.value is not None else 0)


async def _combine(
    bucket: int, standings: Sequence[Standing], log_held: LeaderLog, volume_key: bytes
) -> dict[bytes, Row]:
    """Return the rows of `bucket` that add up, from one bank or from several together."""
    at = max(standing.at for standing in standings)
    candidates: dict[bytes, dict[int, Row]] = {}
    holders: dict[tuple[bytes, int], int] = {}
    for standing in standings:
        async for rows in list_rows(standing.server, bucket):
            for row in rows:
                if row_is_valid(volume_key, row) and row.slot <= at:
                    candidates.setdefault(row.key, {})[row.slot] = row
                    holders[row.key, row.slot] = holders.get((row.key, row.slot), 0) + 1
    expected = sums_at(log_held.entries, log_held.floor, at)
    assert expected is not None
    wanted = expected[bucket * 16 : bucket * 16 + 16]
    settled: dict[bytes, Row] = {}
    disputed: list[list[Row | None]] = []
    for key, by_slot in candidates.items():
        slot = max(by_slot)
        if len(by_slot) == 1 and holders[key, slot] == len(standings):
            settled[key] = by_slot[slot]
        else:
            disputed.append([by_slot[s] for s in sorted(by_slot, reverse=True)] + [None])
    choices = itertools.islice(itertools.product(*disputed), COMBINATIONS_MAX)
    for choice in choices:
        chosen = settled | {row.key: row for row in choice if row is not None}
        index = RecordIndex()
        for row in chosen.values():
            index.exchange(row.key, row.slot)
        if index.sums()[bucket * 16 : bucket * 16 + 16] == wanted:
            return chosen
    raise NoMajority(
        f"the records of part {bucket} of {BUCKETS} can't be proved complete from the banks that answer"
    )
