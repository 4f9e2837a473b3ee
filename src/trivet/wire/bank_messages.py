"""The data half of what a keeper and a bank's server say to each other, and the table of all messages.

Rule: every request has exactly one reply under the same request number: the struct its docstring names, or
Refusal. `Touched` alone is sent by a server unasked (request number 0).
"""

import msgspec

from trivet.errors import ProtocolError
from trivet.wire.entries import Epoch
from trivet.wire.frames import Frame
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Append,
    Appended,
    Assign,
    BankMessage,
    Done,
    Hello,
    Identity,
    LogPart,
    Prepare,
    ReadLog,
    Refusal,
    Reset,
    Trim,
)
from trivet.wire.records import Row
from trivet.wire.volume_messages import VOLUME_MESSAGES

#: So many damaged rows a digest names; of more nobody can say which they are.
DAMAGED_TOLD = 10_000


class GetRecords(BankMessage):
    """Read records, newest known to this server (also entries not applied yet); answered by Rows."""

    keys: list[bytes]


class ListRecords(BankMessage):
    """Read applied rows in key order behind `after`, of one `bucket` or of all (-1); answered by Rows.

    What is durable through slot `at` is applied first. Without `bodies` pages come without value and MAC.
    """

    bucket: int
    after: bytes
    limit: int
    at: int = 0
    bodies: bool = True


class Rows(BankMessage):
    """Rows as they stand in the store, their MAC not judged; `more` if the listing goes on."""

    applied: int
    more: bool
    rows: list[Row]


class PutRows(BankMessage):
    """Repair: write rows over whatever stands there, unless a valid row with a higher slot does; Done.

    Refused if another epoch than `epoch` was promised: a keeper that was followed repairs nothing any more.
    """

    rows: list[Row]
    epoch: Epoch


class DeleteRows(BankMessage):
    """Repair: delete rows nothing names; each (key, slot) only if damaged or at that slot; Done.

    Refused as PutRows is: to a keeper that was followed the rows of the next one look like nothing it knows.
    """

    rows: list[tuple[bytes, int]]
    epoch: Epoch


class Digest(BankMessage):
    """Apply at least through slot `at` (which is durable), then check every row; answered by Digests."""

    at: int


class Digests(BankMessage):
    """The 256 sums (16 bytes each) of the rows at slot `at`; `damaged` are keys whose row fails its MAC.

    At most DAMAGED_TOLD are told. `at` may be later than was asked for; it is -1 when the server could not
    get that far.
    """

    at: int
    sums: bytes
    rows: int
    damaged: list[bytes]


class PutBlob(BankMessage):
    """Store the blob in the body under `name`; `hashes` are its sub-hashes. Done after write(2).

    With `replace` the copy that stands there is replaced (repair), written, read back and checked.
    """

    name: int
    hashes: bytes
    replace: bool


class GetBlob(BankMessage):
    """Read the whole pieces that cover `length` bytes at `offset`; answered by BlobData."""

    name: int
    offset: int
    length: int


class BlobData(BankMessage):
    """The pieces, in the body, from byte `start` of the blob on; `found` False when there is no such blob."""

    found: bool
    size: int
    start: int
    hashes: bytes


class FindBlobs(BankMessage):
    """Tell where the blobs `first`..`first`+`count`-1 stand on the disk; answered by BlobPlaces."""

    first: int
    count: int


class BlobPlaces(BankMessage):
    """For readers on the same machine, who verify what they read.

    `files` are segment files of this server, `places` (name, index into `files`, where its first byte
    stands); the blob's sub-hashes stand right before that. Blobs it does not have are left out.
    """

    files: list[str]
    places: list[tuple[int, int, int]]


class SyncBlobs(BankMessage):
    """Sync every blob written so far; Done afterwards."""


class DeleteBlobs(BankMessage):
    """Delete blobs (hole punching); unknown names are fine; Done."""

    names: list[int]


class ListBlobs(BankMessage):
    """List blobs in name order behind `after`; answered by BlobNames."""

    after: int
    limit: int


class BlobNames(BankMessage):
    """(name, size, root) as the stored headers say; `more` if the listing goes on."""

    blobs: list[tuple[int, int, bytes]]
    more: bool


class ScrubBlobs(BankMessage):
    """Read and check blobs in name order behind `after`, about `max_bytes` of them; answered by Scrubbed."""

    after: int
    max_bytes: int


class Scrubbed(BankMessage):
    """`last` is the position to go on from (`more`), `bad` the names whose copy is damaged."""

    last: int
    more: bool
    size_bytes: int
    bad: list[int]


class Stat(BankMessage):
    """Ask for ServerStat."""


class ServerStat(BankMessage):
    """Figures for status: counts, bytes on disk and free, whether the disk is full, the steady clock.

    `trouble` says why what is stored can't all be read, empty if it can.
    """

    pid: int
    blobs: int
    records: int
    foreign: int
    size_bytes: int
    free_bytes: int
    full: bool
    clock_s: float = 0.0
    trouble: str = ""


class Touched(BankMessage):
    """Sent unasked: somebody changed what this server stores of `path` through the XML-RPC door."""

    path: bytes


MESSAGES: tuple[type[BankMessage], ...] = (
    Hello, Identity, Prepare, ReadLog, LogPart, AdoptBegin, AdoptPart, AdoptEnd, Append, Appended, BlobPlaces,
    Admit, Reset, Assign, Trim, GetRecords, ListRecords, Rows, PutRows, DeleteRows, Digest, FindBlobs,
    Digests, PutBlob, GetBlob, BlobData, SyncBlobs, DeleteBlobs, ListBlobs, BlobNames, ScrubBlobs, Scrubbed,
    Stat, ServerStat, Touched, Done, Refusal, *VOLUME_MESSAGES,
)  # fmt: skip
_KIND_OF = {message: kind for kind, message in enumerate(MESSAGES, start=1)}
#: Kinds whose body proves itself to its receiver: entries carry their own MACs, blobs their sub-hashes.
PROVEN_KINDS = frozenset(_KIND_OF[message] for message in (Append, AdoptPart, LogPart, PutBlob, BlobData))
_DECODERS = {kind: msgspec.msgpack.Decoder(message).decode for message, kind in _KIND_OF.items()}
_encode = msgspec.msgpack.Encoder().encode


def encode_message(message: BankMessage) -> tuple[int, bytes]:
    """Return (frame kind, frame header) of `message`; its bulk data goes as the frame's body."""
    return _KIND_OF[type(message)], _encode(message)


def decode_message(frame: Frame) -> BankMessage:
    """Return the message in `frame`'s header, or raise ProtocolError."""
    decode = _DECODERS.get(frame.kind)
    if decode is None:
        raise ProtocolError(f"no message has the kind {frame.kind}")
    try:
        return decode(frame.header)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a message of kind {frame.kind} can't be read: {error}") from error
