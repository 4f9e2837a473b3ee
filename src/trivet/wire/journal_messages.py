"""The journal half of what a keeper and a bank's server say to each other: votes, entries, admission.

Rule: every request has exactly one reply under the same request number: the struct its docstring
names, or Refusal.
Rule: the journal requests of one connection are carried out in the order they came.
"""

from typing import Literal

import msgspec

from trivet.wire.entries import Epoch


class BankMessage(msgspec.Struct, array_like=True):
    """What every message of the bank protocol is; never changed once made."""


class Hello(BankMessage):
    """First request on a connection, for `purpose` journal or blobs; answered by Identity."""

    purpose: Literal["journal", "blobs"]


class Identity(BankMessage):
    """Who a server is and what it holds.

    `standing`: voter (may vote), empty (fresh store, minted `incarnation`), suspect (boot id changed
    without a clean stop), joining (state transfer under way), blobs (not its bank's acceptor). `synced` is
    the last slot this server itself synced; `applied` the last slot its records show; `lossy` says that it
    found its journal damaged and is not cured yet: it may have held more; `heard` counts the appends that
    this process took, whoever sent them: while it stands still nobody's lease is renewed here.
    """

    volume: str
    port: int
    incarnation: str
    boot_id: str
    standing: Literal["voter", "empty", "suspect", "joining", "blobs"]
    promised: Epoch
    accepted_epoch: Epoch
    floor: int
    floor_hash: bytes
    head: int
    head_hash: bytes
    synced: int
    applied: int
    lossy: bool = False
    heard: int = 0


class Prepare(BankMessage):
    """Promise `epoch` (synced before the reply) if nothing higher was promised; answered by Identity."""

    epoch: Epoch


class ReadLog(BankMessage):
    """Read raw entries from `first` on, at most `max_bytes` (at least one entry); answered by LogPart."""

    first: int
    max_bytes: int


class LogPart(BankMessage):
    """Raw entries in the body, from the slot asked for on; `head` is the last slot this server has."""

    head: int


class AdoptBegin(BankMessage):
    """Begin to install a whole log under `epoch`, whose first entry follows (floor, floor_hash); Done."""

    epoch: Epoch
    floor: int
    floor_hash: bytes


class AdoptPart(BankMessage):
    """More raw entries (body) of the log being installed; Done."""


class AdoptEnd(BankMessage):
    """Swap the log in, in one synced step, if it ends at (head, head_hash); answered by Appended."""

    head: int
    head_hash: bytes


class Append(BankMessage):
    """Append the raw entries in the body behind (`previous`, `previous_hash`); answered by Appended.

    The reply comes after write(2); with `sync`, after blobs (of this server) and then the journal were
    synced. An empty body is a heartbeat. `durable` is the keeper's mark: records up to it may be applied.
    """

    epoch: Epoch
    previous: int
    previous_hash: bytes
    durable: int
    sync: bool


class Appended(BankMessage):
    """The log ends at (`head`, `head_hash`) and is synced through `synced`."""

    head: int
    head_hash: bytes
    synced: int


class Admit(BankMessage):
    """Make the server with exactly this `incarnation` a voter again after its state transfer; Identity.

    The transfer is: Reset, PutRows..., AdoptBegin/AdoptPart/AdoptEnd, Admit. Cures suspect servers too
    (those need the missing tail only, no Reset).
    """

    incarnation: str
    epoch: Epoch


class Reset(BankMessage):
    """Forget journal and records, mint a new incarnation, stand as joining under `epoch`; Identity.

    `applied` is the slot that the rows which follow show.
    """

    epoch: Epoch
    applied: int


class Assign(BankMessage):
    """Tell a server whether it is its bank's acceptor (CONFIG is the truth); Identity."""

    acceptor: bool


class Trim(BankMessage):
    """Drop entries up to and with `floor` from the journal, whole files only; Identity."""

    floor: int


class Done(BankMessage):
    """It was done."""


class Refusal(BankMessage):
    """Why a request was not carried out.

    `promised`: a higher epoch was promised (deposed). `gap`: the append does not join on to
    (head, head_hash). `space`: the disk is full. `standing`: the server is not in a standing that allows
    it. `failed`: a sync or a write failed, the server restarts. `request`: the request makes no sense.
    """

    reason: Literal["promised", "gap", "space", "standing", "failed", "request"]
    message: str
    promised: Epoch
    head: int
    head_hash: bytes
