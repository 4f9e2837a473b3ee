"""A rig for unit tests: a leader and acceptors joined by links carried by hand, and disks that never fail."""

from collections import deque
from itertools import count
from typing import Any

from trivet.quorum.acceptor_commands import (
    DropJournal,
    InstallLog,
    StageBegin,
    StageEntries,
    SyncJournal,
    WriteEntries,
)
from trivet.quorum.acceptor_start import fresh, start
from trivet.quorum.hash_chain import HashChain
from trivet.quorum.leader import Leader
from trivet.quorum.leader_commands import LeaderCommand, Send, SyncBlobs, Transfer
from trivet.wire import journal_messages as m
from trivet.wire.entries import Entry, Epoch, open_entry, split_entries

KEY = bytes(32)
BANKS = (7000, 8000, 9000)
#: No two incarnations are the same.
MINTED = count()


class RigBank:
    """An acceptor and the journal entries it wrote."""

    def __init__(self, port: int) -> None:
        meta = fresh("v", port, f"{port}-{next(MINTED)}", "boot", acceptor=True)
        self.acceptor, _ = start(meta, HashChain(), 0, "boot")
        self.journal: list[Entry] = []
        self._staged: list[Entry] = []

    def mint(self) -> str:
        return f"{self.acceptor.meta.port}-{next(MINTED)}"

    def restart(self, boot_id: str, *, keep: int | None = None, damaged: bool = False) -> None:
        """Start again from meta and journal, of which only slots up to `keep` are left."""
        meta = self.acceptor.meta
        self.journal = [e for e in self.journal if keep is None or e.slot <= keep]
        chain = HashChain(meta.floor, meta.floor_hash)
        chain.extend([e for e in self.journal if e.slot > meta.floor])
        applied = min(self.acceptor.applied, chain.head)
        self.acceptor, _ = start(meta, chain, applied, boot_id, damaged=damaged)

    def handle(self, message: m.BankMessage, body: bytes) -> tuple[m.BankMessage, bytes]:
        a = self.acceptor
        entries = [open_entry(KEY, raw) for raw in split_entries(body)]
        match message:
            case m.Prepare():
                decision = a.on_prepare(message.epoch)
            case m.Append():
                decision = a.on_append(message, entries)
            case m.AdoptBegin():
                decision = a.on_adopt_begin(message)
            case m.AdoptPart():
                decision = a.on_adopt_part(entries)
            case m.AdoptEnd():
                decision = a.on_adopt_end(message)
            case m.Reset():
                decision = a.on_reset(message, self.mint())
            case m.Admit():
                decision = a.on_admit(message)
            case m.Trim():
                decision = a.on_trim(message)
            case m.Hello():
                return a.identity(), b""
            case m.ReadLog():
                found = [e for e in self.journal if e.slot >= message.first]
                return m.LogPart(a.chain.head), b"".join(e.raw for e in found)
            case _:
                raise AssertionError(message)
        for command in decision.commands:
            self._carry_out(command)
        return decision.reply, b""

    def _carry_out(self, command: object) -> None:
        match command:
            case WriteEntries():
                self.journal += command.entries
            case SyncJournal():
                self.acceptor.on_synced(command)
            case StageBegin():
                self._staged = []
            case StageEntries():
                self._staged += command.entries
            case InstallLog():
                self.journal = [e for e in self.journal if e.slot <= command.keep_through] + self._staged
            case DropJournal():
                self.journal = [e for e in self.journal if e.slot <= command.above]


class Rig:
    """Carries sends to banks that are up and replies back, in order."""

    def __init__(
        self, *, fresh_volume: bool = True, epoch: int = 1, banks: dict[int, RigBank] | None = None,
        high_water: int = 0, now: float = 0.0, **rules: Any,
    ) -> None:  # fmt: skip
        self.now = now
        self.banks = banks if banks is not None else {bank: RigBank(bank) for bank in BANKS}
        self.up = set(BANKS)
        self.told: list[LeaderCommand] = []
        self.epoch = Epoch(epoch, 7)
        self.leader = Leader(
            "v", KEY, BANKS, self.epoch, now, fresh=fresh_volume, high_water=high_water, **rules
        )
        self.hold: type[m.BankMessage] | None = None
        self.held: list[LeaderCommand] = []
        self._queue: deque[LeaderCommand] = deque()

    def connect(self, *banks: int) -> None:
        for bank in banks or BANKS:
            self.do(self.leader.on_connected(bank, self.now))

    def do(self, commands: list[LeaderCommand]) -> None:
        """Carry out `commands` and all that follows from them."""
        self._queue.extend(commands)
        while self._queue:
            command = self._queue.popleft()
            match command:
                case Send() if self.hold is not None and isinstance(command.message, self.hold):
                    self.held.append(command)
                case Send():
                    if command.bank in self.up:
                        reply, body = self.banks[command.bank].handle(command.message, command.body)
                        self._queue.extend(self.leader.on_reply(command, reply, self.now, body))
                case SyncBlobs():
                    done = self.leader.on_blobs_synced(command.bank, command.through, self.now)
                    self._queue.extend(done)
                case Transfer():
                    self._queue.extend(self.leader.on_transferred(command.bank, self.now))
                case _:
                    self.told.append(command)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.do(self.leader.on_tick(self.now))

    def heads(self) -> list[int]:
        return [self.banks[bank].acceptor.chain.head for bank in BANKS]

    def of(self, kind: type) -> list[LeaderCommand]:
        return [command for command in self.told if isinstance(command, kind)]


def formed() -> Rig:
    """A volume of three banks."""
    rig = Rig()
    rig.connect()
    assert rig.leader.is_serving
    return rig


def successor(rig: Rig, *up: int, high_water: int = 0) -> Rig:
    """Another keeper over the same banks, after the first is gone."""
    number = rig.epoch.number + 1
    other = Rig(fresh_volume=False, epoch=number, banks=rig.banks, high_water=high_water)
    other.up = set(up or BANKS)
    other.connect(*other.up)
    other.pass_time(0.5)
    return other
