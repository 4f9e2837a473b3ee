"""Journal entries: what a keeper decided at one slot, signed by it and chained to the slot before.

Raw form: `length u32 | slot u64 | epoch number u64 | epoch nonce u64 | previous hash 32 | mac 16 | body`;
`length` counts what follows it, the body is msgpack. The hash covers all but length and MAC, the MAC
(keyed with the volume key) covers the hash. Hash and MAC stay their author's when another keeper adopts it.
"""

import struct

import msgspec
from blake3 import blake3

from trivet.errors import CorruptReplica

_HEAD = struct.Struct(">QQQ32s")
_LENGTH = struct.Struct(">I")
HASH_BYTES = 32
MAC_BYTES = 16
LENGTH_BYTES = _LENGTH.size
_FIXED_BYTES = _HEAD.size + MAC_BYTES
MAX_ENTRY_BYTES = 8 << 20
GENESIS_HASH = bytes(HASH_BYTES)


class Epoch(msgspec.Struct, array_like=True, frozen=True, order=True):
    """A keeper's reign: `number` grows, `nonce` (64 random bits) tells two that chose the same number."""

    number: int
    nonce: int


NO_EPOCH = Epoch(0, 0)


class RecordOp(msgspec.Struct, array_like=True, frozen=True):
    """Put (`value`) or delete (None) one record; `old_slot` is the slot it had before, 0 = none."""

    key: bytes
    old_slot: int
    value: bytes | None


class EntryBody(msgspec.Struct, array_like=True, frozen=True):
    """What an entry says.

    `durable` is the durable mark its author knew; `freed` names blobs nothing names from here on;
    `new_blobs` are (name, size, root) this entry names first, for takeover to check after a power loss;
    `sums` are the 256 digests (16 bytes each) of all records after this entry: only anchors carry them.
    """

    durable: int
    ops: list[RecordOp] = []
    freed: list[int] = []
    new_blobs: list[tuple[int, int, bytes]] = []
    sums: bytes = b""


class Entry(msgspec.Struct, frozen=True):
    """One slot of the log; `raw` is its whole stored form, `hash` what the next entry must name."""

    slot: int
    epoch: Epoch
    previous_hash: bytes
    hash: bytes
    raw: bytes
    body_start: int

    @property
    def body(self) -> EntryBody:
        """The decoded body; decoding costs, so keep it where it is used twice."""
        return _decode_body(self.raw[self.body_start :])


_encode_body = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(EntryBody).decode


def seal_entry(volume_key: bytes, slot: int, epoch: Epoch, previous_hash: bytes, body: EntryBody) -> Entry:
    """Return the entry that `epoch`'s keeper authors at `slot`, behind the entry with `previous_hash`."""
    head = _HEAD.pack(slot, epoch.number, epoch.nonce, previous_hash)
    encoded = _encode_body(body)
    entry_hash = blake3(head + encoded).digest()
    mac = blake3(b"entry" + entry_hash, key=volume_key).digest(length=MAC_BYTES)
    raw = _LENGTH.pack(_FIXED_BYTES + len(encoded)) + head + mac + encoded
    return Entry(slot, epoch, previous_hash, entry_hash, raw, LENGTH_BYTES + _FIXED_BYTES)


def open_entry(volume_key: bytes, raw: bytes) -> Entry:
    """Return the entry stored as `raw` (with its length), or raise CorruptReplica."""
    if len(raw) < LENGTH_BYTES + _FIXED_BYTES or _LENGTH.unpack_from(raw)[0] != len(raw) - LENGTH_BYTES:
        raise CorruptReplica("a journal entry is cut short")
    slot, number, nonce, previous_hash = _HEAD.unpack_from(raw, LENGTH_BYTES)
    mac_start = LENGTH_BYTES + _HEAD.size
    body_start = mac_start + MAC_BYTES
    entry_hash = blake3(raw[LENGTH_BYTES:mac_start] + raw[body_start:]).digest()
    if blake3(b"entry" + entry_hash, key=volume_key).digest(length=MAC_BYTES) != raw[mac_start:body_start]:
        raise CorruptReplica("a journal entry does not match its MAC")
    return Entry(slot, Epoch(number, nonce), previous_hash, entry_hash, raw, body_start)


def split_entries(data: bytes) -> list[bytes]:
    """Return the raw entries that stand one behind another in `data`; stop before a cut or zeroed one."""
    entries = []
    at = 0
    while at + LENGTH_BYTES <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        end = at + LENGTH_BYTES + length
        if not _FIXED_BYTES <= length <= MAX_ENTRY_BYTES or end > len(data):
            break
        entries.append(data[at:end])
        at = end
    return entries
