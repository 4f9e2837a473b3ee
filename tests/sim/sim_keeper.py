"""A keeper in a run: it translates between the real leader core, connections, clients and the oracle."""

from collections.abc import Callable
from typing import Any

from sim_blobs import Blobs, Ref, ref_in, value_of
from sim_calls import Asked, Done
from sim_disk import VOLUME_KEY, KeeperDisk
from sim_links import Links
from sim_network import Network
from sim_oracle import Oracle
from sim_records import Records
from sim_server import SimServer
from trivet.quorum import leader_commands as lc
from trivet.quorum.digests import RecordIndex
from trivet.quorum.leader import Leader
from trivet.quorum.lease import wait_out_s
from trivet.quorum.membership import CONFIG_KEY
from trivet.quorum.once import Call
from trivet.quorum.takeover import next_epoch
from trivet.wire import journal_messages as m
from trivet.wire.entries import Entry, Epoch, RecordOp

TICK_S = 0.05
REFRESH_S = 2.0
PART_BYTES = 700  # logs travel in several parts


class SimKeeper:
    """One keeper process; `rate` is how fast its clock runs."""

    refresh_s = REFRESH_S

    def __init__(
        self, network: Network, banks: dict[int, list[SimServer]], oracle: Oracle, disk: KeeperDisk,
        name: str, *, rate: float, predecessor_is_dead: bool, on_clean: Callable[[int, float], None],
    ) -> None:  # fmt: skip
        self.network = network
        self.world = network.world
        self.oracle = oracle
        self.disk = disk
        self.name = name
        self.banks = list(banks)
        self.links = Links(self, banks)
        self.records: dict[bytes, tuple[int, bytes]] = {}
        self.index = RecordIndex()
        self.is_alive, self.is_loaded = True, False
        self.serves_from = float("inf")
        self.epoch = Epoch(0, 0)
        self.leader: Leader = None  # type: ignore[assignment]
        self.stuck = ""
        self.lost_blobs: set[int] = set()
        self._rate = rate
        self._predecessor_is_dead = predecessor_is_dead
        self._on_clean = on_clean
        self._waits: dict[int, list[Asked]] = {}
        self._told_acked = self._told_durable = 0
        self._last_refresh = 0.0
        self._last_anchor = 0.0
        self.world.trace(f"{name} starts")
        self.links.watch()
        self.world.after(0.1, self.begin)

    def now(self) -> float:
        """Return this keeper's clock."""
        return self.world.now * self._rate

    @property
    def is_ready(self) -> bool:
        """Clients may come."""
        return self.is_alive and self.is_loaded and self.leader.is_serving and self.now() >= self.serves_from

    def stop(self, why: str) -> None:
        """End this process."""
        if self.is_alive:
            self.is_alive = False
            self.world.trace(f"{self.name} {why}")
            self.links.close()
            for waits in self._waits.values():
                for asked in waits:
                    asked.done("unknown")

    def begin(self) -> None:
        """Begin once the banks had a moment to answer."""
        if self.is_alive:
            self.lead(fresh=not self.disk.served)

    def lead(self, **rules: Any) -> None:
        """Begin a reign."""
        self.epoch = next_epoch(self.links.seen, self.world.rng.getrandbits(64))
        self.leader = Leader(
            "v", VOLUME_KEY, self.banks, self.epoch, self.now(), high_water=self.disk.high_water, **rules
        )
        for follower in self.leader.reign.followers.values():
            follower.part_bytes = PART_BYTES
        self.blobs = Blobs(self)
        self.rows = Records(self)
        self.world.trace(f"{self.name} is epoch {self.epoch.number}")
        for bank in self.links.greeted():
            self.do(self.leader.on_connected(bank, self.now()))
        self.tick()

    # links

    def connected(self, bank: int) -> None:
        """Go on with a connection to the acceptor of `bank`, which said who it is."""
        if self.leader is not None:
            self.do(self.leader.on_connected(bank, self.now()))

    def lost(self, bank: int) -> None:
        """Take in that the connection to the acceptor of `bank` is gone."""
        if self.leader is not None:
            self.do(self.leader.on_lost(bank, self.now()))

    # commands of the leader

    def do(self, commands: list[lc.LeaderCommand]) -> None:
        """Carry out what the leader wants."""
        for command in commands:
            if not self.is_alive:
                return
            match command:
                case lc.Send():
                    self._send(command)
                case lc.Acked():
                    self.oracle.on_acked(self.leader.reign.log, self._told_acked, command.slot)
                    self._told_acked = command.slot
                    self._resolve(command.slot, durable=False)
                case lc.Durable():
                    self.oracle.on_durable(self._told_durable, command.slot)
                    self._told_durable = command.slot
                    self.disk.high_water = max(self.disk.high_water, command.slot)
                    self.blobs.on_durable(command.slot)
                    self._resolve(command.slot, durable=True)
                case lc.Sealed():
                    self.absorb(command.entry)
                case lc.SyncBlobs():
                    self.blobs.sync(command.bank, command.through)
                case lc.Transfer():
                    self.rows.transfer(command.bank, command.applied)
                case lc.CheckBlobs():
                    self.blobs.check(command)
                case lc.NotAcceptor():
                    self.links.leave(command.bank, command.port)
                case _:
                    self._note(command)

    def _note(self, command: lc.LeaderCommand) -> None:
        match command:
            case lc.Serving():
                self.disk.served = True
                self.oracle.on_serving(
                    self.leader.reign.log, self.epoch, by_suspects=self.leader.election.by_suspects
                )
                self.world.trace(f"{self.name} leads from slot {command.slot}")
                self.serves_from = self.now() + (0 if self._predecessor_is_dead else wait_out_s())
                self.rows.load()
            case lc.Enthroned():
                self.world.trace(f"{self.name} may answer")
            case lc.Deposed():
                self.stop(f"is deposed by epoch {command.promised.number}")
            case lc.Compare():
                self._last_refresh = 0.0
                self.world.trace(f"{self.name} must compare {command.bank}: {command.reason}")
            case lc.Stuck():
                self.stuck = command.reason
                self.world.trace(f"{self.name} is stuck: {command.reason}")
            case _:
                self.world.trace(f"{self.name} {command}")

    def _send(self, command: lc.Send) -> None:
        def answer(reply: m.BankMessage, data: bytes) -> None:
            self.do(self.leader.on_reply(command, reply, self.now(), data))

        self.links.ask(command.bank, command.message, command.body, answer)

    def must_compare(self) -> None:
        """What was compared before counts no longer."""
        for follower in self.leader.reign.followers.values() if self.leader else ():
            follower.is_whole = False

    # entries

    def absorb(self, entry: Entry) -> None:
        """Take the records of an entry into index and memory."""
        self.oracle.sealed(entry)
        if not self.is_loaded:
            return
        body = entry.body
        for op in body.ops:
            self.index.exchange(op.key, 0 if op.value is None else entry.slot)
            if op.value is None:
                self.records.pop(op.key, None)
            else:
                self.records[op.key] = (entry.slot, op.value)
        self.blobs.absorb(entry.slot, body.freed, list(body.new_blobs))

    def loaded(self, records: dict[bytes, tuple[int, bytes]], index: RecordIndex) -> None:
        """Begin to serve with the records that were proved."""
        self.records, self.index = records, index
        self.is_loaded = True
        self.world.trace(f"{self.name} loaded {len(records)} records")
        for entry in self.leader.reign.log.entries:
            body = entry.body
            self.blobs.absorb(entry.slot, body.freed, list(body.new_blobs))
        self.blobs.on_durable(self.leader.reign.marks.durable)

    def write(
        self, key: bytes, value: bytes | None, *, blob: bool, sync: bool, done: Done, call: Call | None = None
    ) -> None:
        """Commit one change for a client; `done` is told "acked" or "durable", or "unknown" at the end."""
        asked = Asked(sync, done, call)
        if blob and value is not None:
            self.blobs.put(
                value, lambda ref, missing: self._commit(key, value_of(ref), [ref], missing, asked)
            )
        else:
            self._commit(key, value, [], set(), asked)

    def _beside(self, _asked: Asked) -> list[RecordOp]:
        """Return what else an entry changes that does what was asked."""
        return []

    def _commit(
        self, key: bytes, value: bytes | None, new: list[Ref], missing: set[int], asked: Asked
    ) -> None:
        if not self.is_ready:
            asked.done("unknown")
            return
        old_slot, old = self.records.get(key, (0, b""))
        if value is None and not old_slot:
            asked.done("nothing to do")
            return
        old_ref = ref_in(old)
        ops = [RecordOp(key, self.index.slot_of(key), value), *self._beside(asked)]
        freed = [old_ref[0]] if old_ref else []
        entry, commands = self.leader.append(
            ops, self.now(), freed=freed, new_blobs=new, missing=missing, sync=asked.sync
        )
        self.oracle.calls[entry.hash] = asked.call
        self._waits.setdefault(entry.slot, []).append(asked)
        self.absorb(entry)
        self.do(commands)

    def _resolve(self, slot: int, *, durable: bool) -> None:
        for at in [at for at in self._waits if at <= slot]:
            kept = []
            for asked in self._waits[at]:
                if asked.sync and not durable:
                    kept.append(asked)
                else:
                    self.oracle.told = max(self.oracle.told, at)
                    asked.done("durable" if asked.sync else "acked")
            if kept:
                self._waits[at] = kept
            else:
                del self._waits[at]

    # time

    def tick(self) -> None:
        """Let a moment pass."""
        if not self.is_alive:
            return
        self.do(self.leader.on_tick(self.now()))
        if not self.is_alive:
            return
        self.do(self.leader.sync(self.now()))
        self.links.watch()
        if self.leader.reign.phase == "install":
            self.blobs.fill_holes()
        if self.is_loaded and self.leader.is_serving:
            self._background()
        self.world.after(TICK_S, self.tick)

    def _background(self) -> None:
        log = self.leader.reign.log
        if self.world.now - self._last_refresh > self.refresh_s and not self.blobs.is_busy:
            self._last_refresh, self.blobs.is_busy = self.world.now, True
            started = self.world.now
            self.rows.compare(lambda clean: self._compared(clean, started))
            self.do(self.leader.trim(self.now()))
        if self.world.now - self._last_anchor > 1.0 and log.head > log.anchor_slot:
            self._last_anchor = self.world.now
            self.index.exchange(CONFIG_KEY, self.leader.next_slot)
            entry, commands = self.leader.anchor(self.index.sums(), self.now())
            self.oracle.sealed(entry)
            self.records[CONFIG_KEY] = (entry.slot, entry.body.ops[0].value or b"")
            self.do(commands)

    def _compared(self, clean: set[int], started: float) -> None:
        for bank in clean:
            self.leader.on_compared(bank)

        def found_whole(bank: int) -> None:
            if bank in clean and self.is_alive and self.leader.reign.followers[bank].counted:
                self._on_clean(bank, started)

        self.blobs.repair(self.blobs.wanted(), found_whole)
