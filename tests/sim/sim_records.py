"""The keeper's records in a run: loaded and proved, compared and repaired, copied to empty servers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sim_disk import VOLUME_KEY
from trivet.quorum.digests import RecordIndex
from trivet.quorum.membership import CONFIG_KEY
from trivet.quorum.record_history import RecordHistory
from trivet.quorum.record_loading import BankRows, settle_bucket
from trivet.quorum.repair_plan import plan_records
from trivet.wire import bank_messages as b
from trivet.wire import journal_messages as m
from trivet.wire.records import BUCKETS, bucket_of, row_is_valid

if TYPE_CHECKING:
    from sim_keeper import SimKeeper

ANSWER_S = 0.3


def judged(reply: b.Rows) -> BankRows:
    """Return the rows of a reply, told apart by their MACs."""
    valid = {row.key: row for row in reply.rows if row_is_valid(VOLUME_KEY, row)}
    damaged = frozenset(row.key for row in reply.rows if row.key not in valid)
    return BankRows(reply.applied, valid, damaged)


class Records:
    """Moves records between `keeper` and its banks."""

    def __init__(self, keeper: "SimKeeper") -> None:
        self.keeper = keeper

    def gather(self, then: Callable[[dict[int, BankRows]], None]) -> None:
        """Ask every bank that counts for its rows; go on with what came in time."""
        keeper = self.keeper
        answers: dict[int, BankRows] = {}

        def listed(bank: int, reply: m.BankMessage) -> None:
            assert isinstance(reply, b.Rows)
            answers[bank] = judged(reply)

        for bank, follower in keeper.leader.reign.followers.items():
            if follower.counted:
                ask = b.ListRecords(-1, b"", 1000)
                keeper.links.ask(bank, ask, b"", lambda reply, _data, bank=bank: listed(bank, reply))
        keeper.world.after(ANSWER_S, lambda: then(answers) if keeper.is_alive else None)

    def load(self) -> None:
        """Load everything; again and again until the sums prove it."""
        self.gather(self._load_from)

    def _load_from(self, answers: dict[int, BankRows]) -> None:
        keeper = self.keeper
        log = keeper.leader.reign.log
        history = RecordHistory(log.floor, log.entries)
        split: list[dict[int, BankRows]] = [{} for _ in range(BUCKETS)]
        for bank, held in answers.items():
            rows: list[dict[bytes, object]] = [{} for _ in range(BUCKETS)]
            for key, row in held.rows.items():
                rows[bucket_of(key)][key] = row
            for bucket in range(BUCKETS):
                damaged = frozenset(key for key in held.damaged if bucket_of(key) == bucket)
                split[bucket][bank] = BankRows(held.applied, rows[bucket], damaged)  # type: ignore[arg-type]
        records = {}
        for bucket in range(BUCKETS):
            state = settle_bucket(bucket, split[bucket], history)
            if not state.proven:
                keeper.world.trace(f"{keeper.name} can't prove bucket {bucket} yet")
                keeper.world.after(0.3, lambda: self.load() if keeper.is_alive else None)
                return
            records.update(state.records)
        keeper.oracle.on_loaded(log.head_hash, records)
        index = RecordIndex()
        for key, (slot, _) in records.items():
            index.exchange(key, slot)
        keeper.loaded(records, index)

    def compare(self, then: Callable[[set[int]], None]) -> None:
        """Compare all rows of all banks, repair what differs; `then(banks found without fault)`."""
        self.gather(lambda answers: then(self._repair(answers)))

    def _repair(self, answers: dict[int, BankRows]) -> set[int]:
        keeper = self.keeper
        if not answers or not keeper.is_loaded:
            return set()
        lowest = min(held.applied for held in answers.values())
        log = keeper.leader.reign.log
        moving = {op.key for entry in log.above(lowest) for op in entry.body.ops}
        moving |= {CONFIG_KEY} if log.config_slot > lowest else set()
        plan = plan_records(answers, keeper.index.slot_of, moving, keeper.records.keys())
        for key in plan.lost:
            keeper.world.trace(f"{keeper.name} finds no copy of record {key!r}")
        faulty: set[int] = set()
        for delete in plan.deletes:
            faulty.add(delete.bank)
            keeper.world.trace(f"{keeper.name} deletes {delete.key!r} at {delete.slot} from {delete.bank}")
            keeper.links.ask(
                delete.bank, b.DeleteRows([(delete.key, delete.slot)], keeper.epoch), b"", lambda *_: None
            )
        for write in plan.writes:
            faulty.add(write.bank)
            keeper.world.trace(f"{keeper.name} writes {write.row.key!r} to {write.bank}: {write.cause}")
            keeper.links.ask(write.bank, b.PutRows([write.row], keeper.epoch), b"", lambda *_: None)
        return set() if plan.lost else set(answers) - faulty

    def transfer(self, bank: int, applied: int) -> None:
        """Carry out Transfer: copy the valid rows of a bank that has applied far enough."""
        keeper = self.keeper
        if not keeper.is_alive or keeper.leader.reign.followers[bank].state != "transferring":
            return
        sources = [f.bank for f in keeper.leader.reign.followers.values() if f.counted]
        done = False

        def listed(reply: m.BankMessage, _data: bytes) -> None:
            assert isinstance(reply, b.Rows)
            if reply.applied >= applied:
                rows = list(judged(reply).rows.values())
                keeper.links.ask(bank, b.PutRows(rows, keeper.epoch), b"", put)

        def put(reply: m.BankMessage, _data: bytes) -> None:
            nonlocal done
            if not done and isinstance(reply, m.Done):
                done = True
                keeper.do(keeper.leader.on_transferred(bank, keeper.now()))

        if sources:
            keeper.links.ask(keeper.world.rng.choice(sources), b.ListRecords(-1, b"", 1000), b"", listed)
        keeper.world.after(ANSWER_S, lambda: None if done else self.transfer(bank, applied))
