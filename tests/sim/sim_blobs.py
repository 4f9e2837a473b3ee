"""The keeper's blobs in a run: put on all banks, synced, compared, copied, deleted when unnamed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from trivet.quorum import leader_commands as lc
from trivet.quorum.repair_plan import CopyState, plan_blob
from trivet.wire import bank_messages as b
from trivet.wire import journal_messages as m
from trivet.wire.blobs import root_of, sub_hashes

if TYPE_CHECKING:
    from sim_keeper import SimKeeper

Ref = tuple[int, int, bytes]
GRACE_S = 0.5


def value_of(ref: Ref) -> bytes:
    """Return the record value that names the blob `ref`."""
    return b"blob %d %d %s" % (ref[0], ref[1], ref[2].hex().encode())


def ref_in(value: bytes) -> Ref | None:
    """Return the blob that a record value names."""
    if not value.startswith(b"blob "):
        return None
    _, name, size, root = value.split()
    return int(name), int(size), bytes.fromhex(root.decode())


class Blobs:
    """Moves blobs between `keeper` and its banks."""

    def __init__(self, keeper: "SimKeeper") -> None:
        self.keeper = keeper
        self.named: dict[int, list[Ref]] = {}
        self._next = keeper.epoch.number << 32
        self.heard: set[int] = set()
        self.unsure: dict[int, list[int]] = {}
        self.is_busy = False
        self._freed: list[tuple[int, list[int]]] = []

    def put(self, data: bytes, then: Callable[[Ref, set[int]], int]) -> None:
        """Store `data` on all banks; at two, `then(ref, missing banks)` commits and returns its slot."""
        self._next += 1
        ref = (self._next, len(data), root_of(len(data), sub_hashes(data)))
        done: set[int] = set()
        slot = 0

        def stored(bank: int) -> None:
            nonlocal slot
            done.add(bank)
            if len(done) == 2:
                slot = then(ref, set(self.keeper.banks) - done)
            elif len(done) > 2 and slot:
                self.keeper.do(self.keeper.leader.on_blobs_stored(bank, slot, self.keeper.now()))

        message = b.PutBlob(ref[0], sub_hashes(data), False)
        for bank in self.keeper.banks:
            self.keeper.links.ask_blobs(bank, message, data, lambda _reply, _data, bank=bank: stored(bank))

    def absorb(self, slot: int, freed: list[int], new: list[Ref]) -> None:
        """Take in what an entry names and frees."""
        if freed:
            self._freed.append((slot, freed))
        if new:
            self.named[slot] = new

    def on_durable(self, durable: int) -> None:
        """Delete what durable entries freed, after a grace time."""
        due = [names for slot, names in self._freed if slot <= durable]
        self._freed = [(slot, names) for slot, names in self._freed if slot > durable]
        for names in due:
            self.keeper.world.after(GRACE_S, self._delete, names)

    def _delete(self, names: list[int]) -> None:
        if self.keeper.is_alive:
            for bank in self.keeper.banks:
                self.keeper.links.ask_blobs(bank, b.DeleteBlobs(names), b"", lambda *_: None)

    def sync(self, bank: int, through: int) -> None:
        """Carry out SyncBlobs."""
        keeper = self.keeper

        def synced(_reply: m.BankMessage, _data: bytes) -> None:
            keeper.do(keeper.leader.on_blobs_synced(bank, through, keeper.now()))

        if not keeper.links.ask_blobs(bank, b.SyncBlobs(), b"", synced):
            keeper.leader.on_blobs_lost(bank)

    def wanted(self) -> dict[int, Ref]:
        """Return every blob that a record names now, or an entry that is not durable yet."""
        refs = [ref for _, value in self.keeper.records.values() if (ref := ref_in(value)) is not None]
        durable = self.keeper.leader.reign.marks.durable
        for slot in [slot for slot in self.named if slot <= durable]:
            del self.named[slot]
        for new in self.named.values():
            refs += new
        return {ref[0]: ref for ref in refs}

    def check(self, asked: lc.CheckBlobs) -> None:
        """Carry out CheckBlobs."""
        keeper, blobs = self.keeper, asked.blobs
        refs = {name: (name, size, root) for _, name, size, root in blobs}

        def judged(lacking: dict[int, list[int]], lost: list[int]) -> None:
            if lacking:
                keeper.world.trace(f"{keeper.name} copies blobs before it serves")
                keeper.world.after(0.2, self.check, asked)
                return
            lost_at = min((slot for slot, name, _, _ in blobs if name in lost), default=0)
            missing = [(bank, slot) for slot, name, _, _ in blobs for bank in self.unsure[name]]
            on_checked = keeper.leader.on_blobs_checked
            keeper.do(
                on_checked(asked, lost_at, keeper.now(), all_asked=len(self.heard) == 3, lacking=missing)
            )

        if keeper.is_alive and keeper.leader.election.phase == "check":
            self.compare(refs, judged)

    def compare(self, refs: dict[int, Ref], then: Callable[[dict[int, list[int]], list[int]], None]) -> None:
        """List all banks, copy what is bad or missing; `then(banks lacking by name, lost names)`."""
        keeper = self.keeper
        held: dict[int, dict[int, tuple[int, bytes]]] = {}

        def listed(bank: int, reply: m.BankMessage) -> None:
            assert isinstance(reply, b.BlobNames)
            held[bank] = {name: (size, root) for name, size, root in reply.blobs}

        for bank in keeper.banks:
            ask = b.ListBlobs(0, 1000)
            keeper.links.ask_blobs(bank, ask, b"", lambda reply, _data, bank=bank: listed(bank, reply))

        def judge() -> None:
            if not keeper.is_alive:
                return
            lacking, lost = {}, []
            self.heard, self.unsure = set(held), {}
            for name, ref in sorted(refs.items()):
                states = {bank: self._state(ref, held.get(bank)) for bank in keeper.banks}
                self.unsure[name] = [bank for bank, state in states.items() if state != "good"]
                plan = plan_blob(states, len(keeper.banks))
                if plan.targets and plan.source is not None:
                    self._copy(ref, plan.source, plan.targets)
                    lacking[name] = plan.targets
                if plan.source is None:
                    lost.append(name)
                    if plan.lost:
                        keeper.lost_blobs.add(name)
                        keeper.world.trace(f"{keeper.name} finds no copy of blob {name}")
            then(lacking, lost)

        keeper.world.after(0.3, judge)

    def fill_holes(self) -> None:
        """Give banks the blobs of adopted entries that the takeover could not give them."""
        leader = self.keeper.leader
        slots = {slot for bank in self.keeper.banks for slot in leader.missing_blobs(bank)}
        new = [
            ref for entry in leader.reign.log.entries if entry.slot in slots for ref in entry.body.new_blobs
        ]
        if slots and not self.is_busy:
            self.repair({ref[0]: ref for ref in new}, lambda bank: None)

    def repair(self, refs: dict[int, Ref], found_whole: Callable[[int], None]) -> None:
        """Compare blobs on all banks; a bank that has them all fills its holes, and is told of."""
        keeper = self.keeper
        seats = keeper.links.seats
        holes = {bank: keeper.leader.missing_blobs(bank) for bank in keeper.banks}
        stores = {bank: seats[bank].blob_link for bank in keeper.banks}
        self.is_busy = True

        def checked(lacking: dict[int, list[int]], lost: list[int]) -> None:
            self.is_busy = False
            for bank, store in stores.items():
                faulty = bool(lost) or any(bank in targets for targets in lacking.values())
                faulty = faulty or bank not in self.heard
                if faulty or store is None or seats[bank].blob_link is not store:
                    continue
                for slot in holes[bank]:
                    keeper.do(keeper.leader.on_blobs_stored(bank, slot, keeper.now()))
                found_whole(bank)

        self.compare(refs, checked)

    @staticmethod
    def _state(ref: Ref, held: dict[int, tuple[int, bytes]] | None) -> CopyState:
        if held is None:
            return "unknown"
        if ref[0] not in held:
            return "missing"
        return "good" if held[ref[0]] == (ref[1], ref[2]) else "bad"

    def _copy(self, ref: Ref, source: int, targets: list[int]) -> None:
        keeper = self.keeper

        def got(_reply: m.BankMessage, data: bytes) -> None:
            if root_of(len(data), sub_hashes(data)) == ref[2]:
                for bank in targets:
                    keeper.links.ask_blobs(
                        bank, b.PutBlob(ref[0], sub_hashes(data), True), data, lambda *_: None
                    )

        keeper.links.ask_blobs(source, b.GetBlob(ref[0], 0, ref[1]), b"", got)
