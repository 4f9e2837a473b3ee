"""What an acceptor tells the server around it to do, and the state that server keeps for it.

Rule: the server carries the commands of a Decision out in their order and only then sends the reply.
Rule: a command that fails (a write, a sync) ends the process; nothing is rolled back in memory.
"""

from typing import Literal

import msgspec

from trivet.wire.entries import GENESIS_HASH, NO_EPOCH, Entry, Epoch
from trivet.wire.journal_messages import BankMessage

Standing = Literal["voter", "empty", "suspect", "joining", "blobs"]


class AcceptorMeta(msgspec.Struct, array_like=True, frozen=True):
    """What survives a restart beside the journal itself; replaced whole, in one synced step.

    `joining` is the epoch whose keeper is transferring state, `clean` whether the server stopped with
    everything synced, `trusted` the last slot to believe after a failed sync (-1: believe all), `lossy`
    whether the journal was found damaged and nobody has cured it since.
    """

    volume: str
    port: int
    incarnation: str
    boot_id: str
    standing: Standing
    promised: Epoch = NO_EPOCH
    accepted_epoch: Epoch = NO_EPOCH
    floor: int = 0
    floor_hash: bytes = GENESIS_HASH
    joining: Epoch = NO_EPOCH
    clean: bool = False
    trusted: int = -1
    lossy: bool = False


class StoreMeta(msgspec.Struct, frozen=True):
    """Replace the stored meta by `meta` and sync it."""

    meta: AcceptorMeta


class WriteEntries(msgspec.Struct, frozen=True):
    """Append `entries` to the journal with write(2)."""

    entries: list[Entry]


class SyncJournal(msgspec.Struct, frozen=True):
    """Sync this server's blobs, then the journal through slot `through`.

    It stands last in its Decision, so it may be done in a thread while other requests are carried out;
    then call `Acceptor.on_synced` with it. `installed` tells which log it was meant for.
    """

    through: int
    installed: int


class StageBegin(msgspec.Struct, frozen=True):
    """Forget what was staged before and begin to collect the entries of a log to be installed."""


class StageEntries(msgspec.Struct, frozen=True):
    """Collect `entries` beside the journal; nothing of them counts before InstallLog."""

    entries: list[Entry]


class InstallLog(msgspec.Struct, frozen=True):
    """Make the journal own entries up to `keep_through` plus everything staged, together with `meta`.

    One synced step: after a crash either the old journal with the old meta stands, or all of the new,
    synced. With nothing staged and all entries kept it syncs the journal, then stores `meta`.
    `keep_through` -1 keeps none of the old entries; the new journal then begins behind `meta.floor`.
    """

    keep_through: int
    meta: AcceptorMeta


class DropJournal(msgspec.Struct, frozen=True):
    """Remove the entries above slot `above` from the journal and sync; -1 empties it."""

    above: int


class WipeRecords(msgspec.Struct, frozen=True):
    """Remove all records; the rows that follow show slot `applied`."""

    applied: int


class SkipRecords(msgspec.Struct, frozen=True):
    """Set the records' `applied` without applying: the bank was behind the floor and will be compared."""

    applied: int


class ApplyThrough(msgspec.Struct, frozen=True):
    """Entries up to `slot` may now be applied to the records, at leisure; then call `on_applied`."""

    slot: int


class TrimThrough(msgspec.Struct, frozen=True):
    """Whole journal files with nothing above `floor` may go."""

    floor: int


AcceptorCommand = (
    StoreMeta | WriteEntries | SyncJournal | StageBegin | StageEntries | InstallLog
    | DropJournal | WipeRecords | SkipRecords | ApplyThrough | TrimThrough
)  # fmt: skip


class Decision(msgspec.Struct, frozen=True):
    """Commands to carry out in order, then the reply to send."""

    commands: tuple[AcceptorCommand, ...]
    reply: BankMessage
