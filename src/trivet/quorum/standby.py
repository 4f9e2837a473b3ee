"""The keeper that stands by: follows the journal, and says when it is its turn.

Rule: it only asks and reads; what it begins with is what one bank tells, what counts is what two have synced.
Rule: its turn has come when CONFIG names it and the keeper has ended, or a majority of the banks took nothing
from anybody for as long as a lease lasts, on connections that stood all the while.
Rule: after a connection was lost the bank may have heard anybody: its silence begins anew.
"""

from collections.abc import Sequence
from typing import Literal

from trivet.errors import CorruptReplica
from trivet.quorum.follower import RETRY_S
from trivet.quorum.hash_chain import HashChain
from trivet.quorum.leader_commands import Send
from trivet.quorum.lease import wait_out_s
from trivet.quorum.membership import CONFIG_KEY, KEEPER, Config, decode_config
from trivet.wire.entries import NO_EPOCH, Entry, Epoch, open_entry, split_entries
from trivet.wire.journal_messages import BankMessage, Hello, Identity, LogPart, ReadLog

POLL_S = 0.25
READ_BYTES = 1 << 20


class _Bank:
    """What one bank's acceptor said on its present connection, and since when nobody wrote to it."""

    __slots__ = ("asked_at", "identity", "link", "silent_since")

    def __init__(self, link: int) -> None:
        self.link = link
        self.identity: Identity | None = None
        self.silent_since = float("inf")
        self.asked_at = float("-inf")


class Standby:
    """Follows the journal of a volume over `banks` for the keeper called `name`.

    `epoch`, `slot`, `slot_hash` are the newest entry it knows two banks to have synced.
    """

    def __init__(self, volume_key: bytes, banks: Sequence[int], name: str) -> None:
        self.epoch: Epoch = NO_EPOCH
        self.slot = 0
        self.config: Config | None = None
        self._config_slot = 0
        self._volume_key = volume_key
        self._name = name
        self._banks = dict.fromkeys(banks, _Bank(0))
        self._links = 0
        self._restart(HashChain())

    def _restart(self, chain: HashChain) -> None:
        """Begin to read a log anew."""
        self._chain = chain
        self._head_epoch = NO_EPOCH
        self._configs: list[tuple[int, Config]] = []
        self._blobs_at = 0
        self._reading_until = float("-inf")

    @property
    def slot_hash(self) -> bytes:
        """The hash of `slot`, b"" while the log was not read that far."""
        chain = self._chain
        return chain.hash_at(self.slot) if chain.floor <= self.slot <= chain.head else b""

    @property
    def head(self) -> int:
        """The last slot that was read."""
        return self._chain.head

    # links

    def on_connected(self, bank: int, now: float) -> list[Send]:
        """Begin with a connection to the acceptor of `bank`."""
        self.on_lost(bank)
        return [self._ask(bank, now)]

    def on_lost(self, bank: int) -> None:
        """Forget what `bank` said: its connection is gone."""
        self._links += 1
        self._banks[bank] = _Bank(self._links)

    def _ask(self, bank: int, now: float) -> Send:
        self._banks[bank].asked_at = now
        return Send(bank, self._banks[bank].link, Hello("journal"), b"", now)

    def on_reply(self, sent: Send, reply: BankMessage, now: float, body: bytes = b"") -> list[Send]:
        """Take in the `reply` (and its `body`) to a Send."""
        bank = self._banks[sent.bank]
        if sent.link != bank.link:
            return []
        if isinstance(reply, Identity):
            self._heard(bank, reply, now)
            self._settle()
        elif isinstance(reply, LogPart) and isinstance(sent.message, ReadLog):
            self._reading_until = float("-inf")
            if sent.message.first == self._chain.head + 1:
                self._read(bank, body)
        return self._read_on(now)

    def on_tick(self, now: float) -> list[Send]:
        """Let time pass; to be called every 20 to 50 ms."""
        due = [b for b, bank in self._banks.items() if bank.link and now - bank.asked_at >= POLL_S]
        return [self._ask(bank, now) for bank in due]

    # the keeper's signs of life

    def _heard(self, bank: _Bank, said: Identity, now: float) -> None:
        was, bank.identity = bank.identity, said
        if was is None or (was.incarnation, was.promised, was.heard, was.head) != (
            said.incarnation, said.promised, said.heard, said.head,
        ):  # fmt: skip
            bank.silent_since = now

    def silence(self, now: float) -> dict[int, tuple[str, int]]:
        """Return (incarnation, appends heard) of the banks that nobody wrote to for as long as a lease lasts.

        Only servers that CONFIG names: another one of the bank may be written to meanwhile.
        """
        return {
            base: (bank.identity.incarnation, bank.identity.heard)
            for base, bank in self._banks.items()
            if bank.identity is not None
            and (self.config is None or self.config.names(base, bank.identity.incarnation))
            and now - bank.silent_since >= wait_out_s()
        }

    def seen(self) -> list[Epoch]:
        """Return the epochs that the banks promised last, as far as they told."""
        return [bank.identity.promised for bank in self._banks.values() if bank.identity is not None]

    def turn(self, now: float) -> Literal["unknown", "wait", "reign"]:
        """Say whether this keeper is to reign now; "unknown" before two banks told all there is."""
        said = [bank.identity for bank in self._banks.values() if bank.identity is not None]
        majority = len(self._banks) // 2 + 1
        if len(said) < majority:
            return "unknown"
        best = self._newest()
        if best is not None and self.head < best[1].head:
            return "unknown"
        if self.config is None:
            return "reign" if self._name == KEEPER else "wait"
        if self.config.keeper == self._name:
            return "reign"
        if self.config.standby != self._name:
            return "wait"
        return "reign" if self.config.vacant or len(self.silence(now)) >= majority else "wait"

    # the journal

    def _read_on(self, now: float) -> list[Send]:
        """Read from the bank with the newest log what is not known of it; the last bank is the idlest."""
        if now < self._reading_until:
            return []
        best = self._newest()
        if best is None:
            return []
        base, said = best
        chain = self._chain
        behind = chain.head < said.floor or said.accepted_epoch < self._head_epoch
        other = chain.head >= said.head and not chain.joins(said.head, said.head_hash)
        if behind or other:
            self._restart(HashChain(said.floor, said.floor_hash))
        if self._chain.head >= said.head:
            return []
        self._reading_until = now + RETRY_S
        message = ReadLog(self._chain.head + 1, READ_BYTES)
        return [Send(base, self._banks[base].link, message, b"", now)]

    def _newest(self) -> tuple[int, Identity] | None:
        """Return the bank with the newest log, and what it said of itself."""
        best: tuple[int, Identity] | None = None
        for base, bank in self._banks.items():
            said = bank.identity
            if said is None or said.standing not in ("voter", "suspect"):
                continue
            if best is None or (said.accepted_epoch, said.head) >= (best[1].accepted_epoch, best[1].head):
                best = base, said
        return best

    def _read(self, bank: _Bank, body: bytes) -> None:
        """Take entries in; a log that does not join on is read anew from its floor."""
        said = bank.identity
        assert said is not None
        try:
            for raw in split_entries(body):
                entry = open_entry(self._volume_key, raw)
                if not self._chain.follows([entry]):
                    raise CorruptReplica("the entries do not follow one another")
                self._take(entry)
        except CorruptReplica:
            self._restart(HashChain(said.floor, said.floor_hash))
        self._settle()

    def _take(self, entry: Entry) -> None:
        self._chain.extend([entry])
        self._head_epoch = entry.epoch
        if entry.body.new_blobs:
            self._blobs_at = entry.slot
        for op in entry.body.ops:
            if op.key == CONFIG_KEY and op.value is not None:
                self._configs.append((entry.slot, decode_config(op.value)))
        self._durable(min(entry.body.durable, entry.slot - 1))

    def _settle(self) -> None:
        """What stands at the end of two synced journals is durable, if no blob of it is outstanding."""
        chain = self._chain
        said = [bank.identity for bank in self._banks.values() if bank.identity is not None]
        ends = [one for one in said if one.head_hash == chain.head_hash and one.synced >= chain.head > 0]
        if len(ends) > len(self._banks) // 2 and self._blobs_at <= self.slot:
            self._durable(chain.head)

    def _durable(self, slot: int) -> None:
        if slot >= self.slot and slot > self._chain.floor:
            self.slot, self.epoch = slot, self._head_epoch
            self._chain.trim(slot)
        while self._configs and self._configs[0][0] <= self.slot:
            at, config = self._configs.pop(0)
            if at >= self._config_slot:  # a log read anew tells the old ones again
                self.config, self._config_slot = config, at
