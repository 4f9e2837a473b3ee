"""Records from the banks: read one copy, believe it only with its MAC and at the slot it must have.

Rule: the index knows at which slot every record stands, so an old copy is as good as none.
Rule: what is on its way to the banks is answered from the entries that carry it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from trivet.errors import NoMajority, ReplicaError
from trivet.io.link import LinkLost
from trivet.keeper.bank_links import ServerLink
from trivet.wire.bank_messages import GetRecords, Rows
from trivet.wire.records import Row, row_is_valid

READ_TIMEOUT_S = 1.0


class JournalView(Protocol):
    """What the record service must know of the log."""

    def slot_of(self, key: bytes) -> int:
        """Return the slot at which `key` stands, 0 if it does not exist."""

    def is_fresh(self, key: bytes) -> bool:
        """Tell whether the last change of `key` is not acknowledged yet."""

    def fresh_value(self, key: bytes) -> bytes | None:
        """Return the value that a change not acknowledged yet gives `key` (None: it deletes it)."""

    def acceptors_at(self, slot: int) -> Sequence[ServerLink]:
        """Return the acceptors that are up and hold the log through `slot`, best first."""


class RecordService:
    """The keeper's way to record values; `on_bad_row(bank, key, why)` hears of copies that are not good."""

    def __init__(
        self, journal: JournalView, volume_key: bytes, on_bad_row: Callable[[int, bytes, str], None]
    ) -> None:
        self._journal = journal
        self._key = volume_key
        self._on_bad_row = on_bad_row
        self.copies_read = self.copies_verified = 0

    async def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those of `keys` that exist.

        Raises ReplicaError while banks that might have a good copy can't be asked, NoMajority if none has.
        """
        found: dict[bytes, bytes] = {}
        wanted: dict[bytes, int] = {}
        for key in keys:
            if self._journal.is_fresh(key):
                value = self._journal.fresh_value(key)
                if value is not None:
                    found[key] = value
            elif slot := self._journal.slot_of(key):
                wanted[key] = slot
        if wanted:
            await self._read_from_banks(wanted, found)
        return found

    async def _read_from_banks(self, wanted: dict[bytes, int], found: dict[bytes, bytes]) -> None:
        servers = self._journal.acceptors_at(max(wanted.values()))
        answered = 0
        for server in servers:
            try:
                reply, _ = await server.ask_journal(
                    GetRecords(list(wanted)), timeout_s=READ_TIMEOUT_S, enough=1
                )
            except LinkLost:
                server.give_up()
                continue
            if not isinstance(reply, Rows):
                continue
            answered += 1
            rows = {row.key: row for row in reply.rows}
            self._take(server.bank, rows, wanted, found)
            self.copies_read += len(rows)
            if not wanted:
                return
        if answered < 3:
            raise ReplicaError(f"no good copy of {len(wanted)} records on the banks that answer")
        raise NoMajority(f"no bank has a good copy of {len(wanted)} records")

    def _take(
        self, bank: int, rows: dict[bytes, Row], wanted: dict[bytes, int], found: dict[bytes, bytes]
    ) -> None:
        """Move the keys that `rows` have a good copy of from `wanted` to `found`."""
        journal = self._journal
        for key in list(wanted):
            slot = journal.slot_of(key)  # it may have moved while the read was under way
            if not slot or journal.is_fresh(key):
                value = journal.fresh_value(key) if slot else None
                if value is not None:
                    found[key] = value
                del wanted[key]
                continue
            row = rows.get(key)
            why = self._flaw(slot, row)
            if why:
                self._on_bad_row(bank, key, why)
            else:
                assert row is not None
                found[key] = row.value
                self.copies_verified += 1
                del wanted[key]

    def _flaw(self, slot: int, row: Row | None) -> str:
        if row is None:
            return "it is missing"
        if not row_is_valid(self._key, row):
            return "its MAC is wrong"
        if row.slot != slot:
            return f"it stands at slot {row.slot} instead of {slot}"
        return ""
