"""What a leader tells the keeper around it to do.

Rule: commands are carried out in their order; Sends to one bank are written to its link in that order.
"""

import msgspec

from trivet.wire.entries import Entry, Epoch
from trivet.wire.journal_messages import BankMessage


class Send(msgspec.Struct, frozen=True):
    """Send `message` with `body` to the acceptor of `bank`; hand the reply to `Leader.on_reply`.

    `link` tells the leader a late reply from one on the present connection; `at` is when it was sent.
    """

    bank: int
    link: int
    message: BankMessage
    body: bytes
    at: float


class Sealed(msgspec.Struct, frozen=True):
    """The leader itself authored `entry` (barrier or CONFIG): take its record into the index."""

    entry: Entry


class Acked(msgspec.Struct, frozen=True):
    """Every entry up to `slot` is with the operating systems of two banks."""

    slot: int


class Durable(msgspec.Struct, frozen=True):
    """Every entry up to `slot` is synced on two banks."""

    slot: int


class Serving(msgspec.Struct, frozen=True):
    """The takeover is complete: the log, with the barrier at `slot`, is durable on two banks."""

    slot: int


class Enthroned(msgspec.Struct, frozen=True):
    """People may be answered: no other keeper's lease runs any more, and the log names this one."""


class Deposed(msgspec.Struct, frozen=True):
    """Another keeper holds a higher promise: stop at once."""

    promised: Epoch


class Stuck(msgspec.Struct, frozen=True):
    """The takeover can't go on: `reason` says why and what to do (NoMajority)."""

    reason: str


class CheckBlobs(msgspec.Struct, frozen=True):
    """Find a good copy of each blob in `blobs` (slot, name, size, root); copy it to banks that lack it.

    Then `Leader.on_blobs_checked` with this command: the first slot with a blob that has no good copy
    anywhere (0: none), whether every server that could have it answered, and the (bank, slot) that may lack
    a blob: those count for nothing until `on_blobs_stored`. Few: what was not durable when a keeper ended.
    """

    blobs: list[tuple[int, int, int, bytes]]


class SyncBlobs(msgspec.Struct, frozen=True):
    """Sync the blobs of entries up to `through` on every server of `bank`; then `on_blobs_synced`."""

    bank: int
    through: int


class Transfer(msgspec.Struct, frozen=True):
    """Copy every row of a bank that counts to the acceptor of `bank`; then `on_transferred`.

    It was reset to show `applied`, the floor of the log, which it then applies itself: rows copied while
    changes go on may be newer.
    """

    bank: int
    applied: int


class Degraded(msgspec.Struct, frozen=True):
    """`bank` is behind: acknowledgements no longer wait for it."""

    bank: int
    reason: str


class CaughtUp(msgspec.Struct, frozen=True):
    """`bank` has the whole log again and counts."""

    bank: int


class Compare(msgspec.Struct, frozen=True):
    """Records and blobs of `bank` must be compared: `reason` (lossy, behind the floor, suspect...)."""

    bank: int
    reason: str


class LogMended(msgspec.Struct, frozen=True):
    """The journal of `bank` was damaged, and has everything again."""

    bank: int


class NotAcceptor(msgspec.Struct, frozen=True):
    """The server reached for `bank` does not hold its seat: close the link, connect to the one at `port`.

    `port` is 0 while no CONFIG is known: try the bank's other servers. If it is the very server that was
    reached, it has lost its store: send it Assign, then connect again.
    """

    bank: int
    port: int


LeaderCommand = (
    Send | Sealed | Acked | Durable | Serving | Enthroned | Deposed | Stuck | CheckBlobs | SyncBlobs
    | Transfer | Degraded | CaughtUp | Compare | LogMended | NotAcceptor
)  # fmt: skip
