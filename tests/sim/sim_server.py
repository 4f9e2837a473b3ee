"""One server of a bank: the real acceptor over a simulated disk, and a plain store of records and blobs."""

from collections.abc import Callable

from sim_disk import VOLUME_KEY, Disk, opened
from sim_world import World
from trivet.quorum import acceptor_commands as c
from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_start import fresh, start
from trivet.wire import bank_messages as b
from trivet.wire import journal_messages as m
from trivet.wire.blobs import root_of, sub_hashes
from trivet.wire.entries import Entry, split_entries
from trivet.wire.records import Row, record_mac, row_is_valid

Reply = Callable[[m.BankMessage, bytes], None]


def entries_in(body: bytes) -> list[Entry]:
    """Return the entries in the body of a message."""
    return [opened(raw) for raw in split_entries(body)] if body else []


class SimServer:
    """A server process that can be killed, hung, wiped and have its power cut; `acceptor` is its seat."""

    def __init__(self, world: World, port: int, *, seat: bool) -> None:
        self.world = world
        self.port = port
        self.disk = Disk()
        self.boot = 1
        self.process = 0
        self.hung_until = 0.0
        self.crash_in: str | None = None
        self.fail_sync = False
        self.sync_s = self.full_until = 0.0
        self.acceptor: Acceptor | None = None
        self._minted = 0
        self._seat = seat

    @property
    def is_up(self) -> bool:
        return self.acceptor is not None

    def _mint(self) -> str:
        self._minted += 1
        return f"{self.port}-{self._minted}"

    # life and death

    def start(self) -> None:
        """Start the process on what the disk holds."""
        if self.acceptor is not None:
            return
        disk = self.disk
        if disk.meta is None:
            disk.meta = fresh("v", self.port, self._mint(), self._boot_id(), acceptor=self._seat)
        torn, disk.is_torn = disk.is_torn, False
        acceptor, commands = start(disk.meta, disk.chain(), disk.applied, self._boot_id(), damaged=torn)
        self.acceptor = acceptor
        self.process += 1
        disk.synced = disk.head()
        self._carry_out(commands, None)
        self.world.trace(f"{self.port} starts as {acceptor.meta.standing}, head {acceptor.chain.head}")

    def _boot_id(self) -> str:
        return f"boot-{self.port}-{self.boot}"

    def kill(self, why: str = "is killed") -> None:
        """kill -9: what was written stays."""
        if self.acceptor is not None:
            self.acceptor = None
            self.process += 1
            self.disk.staged = []
            self.crash_in = None
            self.world.trace(f"{self.port} {why}")

    def cut_power(self) -> None:
        """What was not synced is gone, and the boot id changes."""
        self.kill("loses its power")
        self.boot += 1
        self.world.trace(f"{self.port} {self.disk.cut_power(self.world.rng)}")

    def wipe(self) -> None:
        """The store is empty."""
        self.kill("is wiped")
        self.disk = Disk()

    def stop_cleanly(self) -> None:
        """A stop that syncs and says so, perhaps with a reboot after it."""
        if self.acceptor is not None:
            self._carry_out(self.acceptor.on_stop(), None)
            self.disk.synced = self.disk.head()
            self.disk.unsynced_blobs.clear()
            self.kill("stops cleanly")
            self.boot += self.world.rng.random() < 0.5

    # requests

    def handle(self, message: m.BankMessage, body: bytes, reply: Reply) -> None:
        """Carry out one request; `reply` is called when it is done, unless the process dies before."""
        acceptor = self.acceptor
        assert acceptor is not None
        decision = self._decide(acceptor, message, body)
        if decision is None:
            answer = self._serve(acceptor, message, body)
            if answer is not None:
                reply(*answer)
            return
        if self.crash_in is not None and decision.commands:
            kept = self.world.rng.randrange(len(decision.commands) + 1)
            how = self.crash_in
            self._carry_out(decision.commands[:kept], None)
            self.kill(f"dies after {kept} of {len(decision.commands)} commands")
            if how == "power":
                self.cut_power()
            return
        self._carry_out(decision.commands, lambda: reply(decision.reply, b""))

    def _decide(self, acceptor: Acceptor, message: m.BankMessage, body: bytes) -> c.Decision | None:
        match message:
            case m.Append() | m.AdoptPart() if body and self.world.now < self.full_until:
                head, head_hash = acceptor.chain.head, acceptor.chain.head_hash
                no_room = m.Refusal("space", "the disk is full", acceptor.meta.promised, head, head_hash)
                return c.Decision((), no_room)
            case m.Append():
                return acceptor.on_append(message, entries_in(body))
            case m.Prepare():
                return acceptor.on_prepare(message.epoch)
            case m.AdoptBegin():
                return acceptor.on_adopt_begin(message)
            case m.AdoptPart():
                return acceptor.on_adopt_part(entries_in(body))
            case m.AdoptEnd():
                return acceptor.on_adopt_end(message)
            case m.Admit():
                return acceptor.on_admit(message)
            case m.Reset():
                return acceptor.on_reset(message, self._mint())
            case m.Assign():
                return acceptor.on_assign(message, self._mint())
            case m.Trim():
                return acceptor.on_trim(message)
        return None

    def _carry_out(self, commands: tuple[c.AcceptorCommand, ...], then: Callable[[], None] | None) -> None:
        disk = self.disk
        for at, command in enumerate(commands):
            match command:
                case c.StoreMeta():
                    disk.meta = command.meta
                case c.WriteEntries():
                    disk.journal += command.entries
                case c.SyncJournal() if then is not None:
                    delay = self.sync_s + self.world.rng.uniform(0.001, 0.008)
                    rest = commands[at + 1 :]
                    self.world.after(delay, self._synced, self.process, command, rest, then)
                    return
                case c.StageBegin():
                    disk.staged = []
                case c.StageEntries():
                    disk.staged = disk.staged + command.entries
                case c.InstallLog():
                    disk.journal = [e for e in disk.journal if e.slot <= command.keep_through] + disk.staged
                    disk.staged, disk.meta, disk.synced = [], command.meta, disk.head()
                case c.DropJournal():
                    disk.drop_above(command.above)
                case c.WipeRecords():
                    disk.rows, disk.applied = {}, command.applied
                case c.SkipRecords():
                    disk.applied = command.applied
                case c.ApplyThrough():
                    delay = self.world.rng.uniform(0.0, 0.1)
                    self.world.after(delay, self._apply, self.process, command.slot)
                case c.TrimThrough():
                    disk.journal = [entry for entry in disk.journal if entry.slot > command.floor]
        if then is not None:
            then()

    def _synced(
        self,
        process: int,
        command: c.SyncJournal,
        rest: tuple[c.AcceptorCommand, ...],
        then: Callable[[], None],
    ) -> None:
        if process != self.process or self.acceptor is None:
            return
        if self.fail_sync:
            self.fail_sync = False
            self._carry_out(self.acceptor.on_sync_failed(), None)
            self.kill("fails to sync and stops")
            return
        self.disk.unsynced_blobs.clear()
        if command.installed == self.acceptor.installed:
            self.disk.synced = max(self.disk.synced, min(command.through, self.disk.head()))
        self._carry_out((*self.acceptor.on_synced(command), *rest), then)

    def _apply(self, process: int, slot: int) -> None:
        if process != self.process or self.acceptor is None:
            return
        disk = self.disk
        for entry in disk.journal:
            if disk.applied < entry.slot <= slot:
                for op in entry.body.ops:
                    self._apply_op(entry.slot, op.key, op.value)
                disk.applied = entry.slot
        self.acceptor.on_applied(disk.applied)

    def _apply_op(self, slot: int, key: bytes, value: bytes | None) -> None:
        standing = self.disk.rows.get(key)
        if value is not None:
            row = Row(key, slot, value, record_mac(VOLUME_KEY, key, slot, value))
            self.disk.put_row(
                row, over_damage=standing is not None and not row_is_valid(VOLUME_KEY, standing)
            )
        elif standing is not None and standing.slot < slot:
            del self.disk.rows[key]

    # records and blobs

    def _serve(
        self, acceptor: Acceptor, message: m.BankMessage, body: bytes
    ) -> tuple[m.BankMessage, bytes] | None:
        disk = self.disk
        match message:
            case m.ReadLog():
                found = [entry.raw for entry in disk.journal if entry.slot >= message.first]
                return m.LogPart(acceptor.chain.head), b"".join(found[:40])
            case m.Hello():
                return acceptor.identity(), b""
            case b.ListRecords():
                return b.Rows(disk.applied, False, list(disk.rows.values())), b""
            case b.PutRows() | b.DeleteRows() if refusal := acceptor.refuse_repair(message.epoch):
                return refusal, b""
            case b.PutRows():
                for row in message.rows:
                    standing = disk.rows.get(row.key)
                    damaged = standing is not None and not row_is_valid(VOLUME_KEY, standing)
                    disk.put_row(row, over_damage=damaged)
            case b.DeleteRows():
                for key, slot in message.rows:
                    standing = disk.rows.get(key)
                    if standing and (standing.slot == slot or not row_is_valid(VOLUME_KEY, standing)):
                        del disk.rows[key]
            case b.PutBlob():
                if message.replace or message.name not in disk.blobs:
                    disk.blobs[message.name] = body
                    disk.unsynced_blobs[message.name] = None
            case b.GetBlob():
                data = disk.blobs.get(message.name)
                hashes = sub_hashes(data) if data is not None else b""
                return b.BlobData(data is not None, len(data or b""), 0, hashes), data or b""
            case b.SyncBlobs():
                disk.unsynced_blobs.clear()
            case b.DeleteBlobs():
                for name in message.names:
                    disk.blobs.pop(name, None)
            case b.ListBlobs():
                held = [(n, len(d), root_of(len(d), sub_hashes(d))) for n, d in sorted(disk.blobs.items())]
                return b.BlobNames(held, False), b""
            case _:
                raise AssertionError(message)
        return m.Done(), b""
