"""What must be true of every run: told by keepers as it happens, checked against the history they sealed."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence

from sim_server import SimServer
from trivet.quorum.leader_log import LeaderLog
from trivet.quorum.once import Call
from trivet.wire.entries import GENESIS_HASH, NO_EPOCH, Entry, Epoch

State = dict[bytes, tuple[int, bytes]]


class Violation(AssertionError):
    """A promise of the protocol was broken."""


def demand(held: bool, what: str) -> None:
    """Raise Violation with `what` unless `held`."""
    if not held:
        raise Violation(what)


class Oracle:
    """Every entry ever sealed, and which hash each slot was acknowledged and durable with.

    It looks into the disks of `banks`; those in `impaired` get the benefit of the doubt.
    """

    def __init__(self, banks: Mapping[int, Sequence[SimServer]], impaired: Container[int]) -> None:
        self._banks = banks
        self._impaired = impaired
        self._freed: set[int] = set()
        self._served = NO_EPOCH
        self.acked: dict[int, bytes] = {}
        self.durable = 0
        self.told = 0
        self.acked_lost = 0
        self.told_stuck: list[str] = []
        self.calls: dict[bytes, Call | None] = {}
        self._entries: dict[bytes, Entry] = {}
        self._states: dict[bytes, State] = {GENESIS_HASH: {}}

    def sealed(self, entry: Entry) -> None:
        """An author made `entry`."""
        self._entries[entry.hash] = entry
        self._freed.update(entry.body.freed)

    def on_acked(self, log: LeaderLog, before: int, slot: int) -> None:
        """A leader told that `slot` is acked (it had told `before`)."""
        for at in range(max(before + 1, log.floor), slot + 1):
            entry_hash = log.hash_at(at)
            known = self.acked.setdefault(at, entry_hash)
            demand(known == entry_hash, f"two different entries were acknowledged in slot {at}")
            demand(entry_hash in self._entries, f"slot {at} was acknowledged, but nobody authored that entry")
            demand(
                self._holders(at, entry_hash, synced=False) >= 2, f"slot {at} was acknowledged with one copy"
            )

    def on_durable(self, before: int, slot: int) -> None:
        """A leader told that `slot` is durable (it had told `before`)."""
        demand(slot in self.acked, f"slot {slot} is durable but not acknowledged")
        for at in range(before + 1, slot + 1):
            if at in self.acked:
                demand(
                    self._holders(at, self.acked[at], synced=True) >= 2, f"slot {at} is durable with one copy"
                )
                self._demand_blobs(self._entries[self.acked[at]])
        self.durable = max(self.durable, slot)

    def _holders(self, slot: int, entry_hash: bytes, *, synced: bool) -> int:
        """Return how many banks hold the entry at `slot`, written or synced, or may have held it."""
        return sum(
            bank in self._impaired
            or any(server.disk.holds(slot, entry_hash, synced=synced) for server in servers)
            for bank, servers in self._banks.items()
        )

    def _demand_blobs(self, entry: Entry) -> None:
        """Demand that two banks have synced every blob `entry` names, unless it was freed again."""
        for name, _, _ in entry.body.new_blobs:
            held = sum(
                bank in self._impaired
                or (name in servers[0].disk.blobs and name not in servers[0].disk.unsynced_blobs)
                for bank, servers in self._banks.items()
            )
            demand(held >= 2 or name in self._freed, f"slot {entry.slot} is durable, blob {name} is not")

    def on_serving(self, log: LeaderLog, epoch: Epoch, *, by_suspects: bool) -> None:
        """A new leader installed `log`: it must hold all that was promised.

        Unless a later one leads already: then it is told late and will be deposed.
        """
        if epoch < self._served:
            return
        self._served = epoch
        for slot in sorted(self.acked):
            if slot < log.floor:
                continue
            if slot <= log.head and log.hash_at(slot) == self.acked[slot]:
                continue
            demand(slot > self.durable, f"durable slot {slot} is lost (log {log.floor}..{log.head})")
            demand(by_suspects, f"acknowledged slot {slot} is lost (log {log.floor}..{log.head})")
            for later in [at for at in self.acked if at >= slot]:
                del self.acked[later]
                self.acked_lost += 1
            self.told = min(self.told, slot - 1)
            return
        demand(log.floor <= self.durable, "the log was trimmed above what is durable")

    def on_read(self, log: LeaderLog) -> None:
        """A keeper with a valid lease reads: its history must hold everything clients were told."""
        known = self.told <= log.head and (
            self.told < log.floor or log.hash_at(self.told) == self.acked.get(self.told)
        )
        demand(self.told == 0 or known, f"a read under a lease missed slot {self.told}, told to a client")

    def state_at(self, entry_hash: bytes) -> State:
        """Return key -> (slot, value) of the history that ends with `entry_hash`."""
        missing = []
        at = entry_hash
        while at not in self._states:
            entry = self._entries[at]
            missing.append(entry)
            at = entry.previous_hash
        state = dict(self._states[at])
        for entry in reversed(missing):
            for op in entry.body.ops:
                demand(
                    op.old_slot == state.get(op.key, (0, b""))[0], f"slot {entry.slot} names a wrong old slot"
                )
                if op.value is None:
                    state.pop(op.key, None)
                else:
                    state[op.key] = (entry.slot, op.value)
        if missing:
            self._states[entry_hash] = dict(state)
        return state

    def demand_once(self, head_hash: bytes, answered: Sequence[tuple[bytes, int]]) -> None:
        """Demand that the history that ends with `head_hash` applies each call at most once.

        And those `answered`, as (client, sequence), once; unless suspects elected, who may lose some.
        """
        applied: Counter[tuple[bytes, int]] = Counter()
        at = head_hash
        while at != GENESIS_HASH:
            if (call := self.calls.get(at)) is not None:
                applied[call.client, call.sequence] += 1
            at = self._entries[at].previous_hash
        demand(not (twice := [call for call, times in applied.items() if times > 1]), f"done twice: {twice}")
        lost = [call for call in answered if not applied[call]]
        demand(not lost or self.acked_lost > 0, f"answered and not done: {lost}")

    def on_loaded(self, head_hash: bytes, records: State) -> None:
        """A keeper loaded `records` out of the banks: they must be the history's, to the byte."""
        wanted = self.state_at(head_hash)
        wrong = sorted(k for k in wanted.keys() | records.keys() if wanted.get(k) != records.get(k))
        demand(not wrong, f"a keeper loaded wrong records: {wrong[:3]}")
