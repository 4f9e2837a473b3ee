"""The framed binary protocol between trivet's processes, as bytes in and bytes out.

Frame: `length u32 | kind u8 | request u32 | header_length u32 | mac 16 | [body hash 32] | header | body`,
big endian; `length` counts what follows it. The MAC covers a counter of the direction, kind, request and
header, and the body's BLAKE3, so a replayed, reordered or altered frame is refused.
A body that its receiver checks anyway (entries carry MACs, blobs sub-hashes) is not hashed a second time: its
kind is among the `proven` ones, the MAC covers its length, and there is no body hash.
Rule: a peer that breaks the format raises ProtocolError; the connection is then closed, nothing else happens.
"""

import struct

import msgspec
from blake3 import blake3

from trivet.errors import ProtocolError

MAX_FRAME_BYTES = 20 << 20
_LENGTH = struct.Struct(">I")
_PRELUDE = struct.Struct(">BII")
_HEAD = struct.Struct(">IBII")
_SIGNED = struct.Struct(">QBII")
MAC_BYTES = 16
HASH_BYTES = 32
_FIXED_BYTES = _PRELUDE.size + MAC_BYTES
LENGTH_BYTES = _LENGTH.size


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message: `request` pairs a reply with its request, 0 where nothing is replied to."""

    kind: int
    request: int
    header: bytes
    body: bytes | memoryview


def frame_length(data: bytes | memoryview, at: int = 0) -> int:
    """Return how many bytes follow the 4 that stand `at` in `data`; refuse what no frame of ours can be."""
    (length,) = _LENGTH.unpack_from(data, at)
    if not _FIXED_BYTES <= length <= MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {length} bytes is not of this protocol")
    return int(length)


class FrameSealer:
    """Signs the frames of one direction of one connection with the session `key` (32 bytes)."""

    __slots__ = ("_counter", "_key", "_proven")

    def __init__(self, key: bytes, proven: frozenset[int] = frozenset()) -> None:
        self._key = key
        self._proven = proven
        self._counter = 0

    def seal(self, kind: int, request: int, header: bytes, body: bytes | memoryview = b"") -> bytes:
        """Return what is to be written before `body`."""
        body_hash = b"" if not body or kind in self._proven else blake3(body).digest()
        proof = body_hash or _LENGTH.pack(len(body))
        signed = _SIGNED.pack(self._counter, kind, request, len(header)) + proof + header
        mac = blake3(signed, key=self._key).digest(length=MAC_BYTES)
        self._counter += 1
        length = _FIXED_BYTES + len(body_hash) + len(header) + len(body)
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
        return _HEAD.pack(length, kind, request, len(header)) + mac + body_hash + header


class FrameOpener:
    """Checks the frames that come in on one direction of one connection."""

    __slots__ = ("_counter", "_key", "_proven")

    def __init__(self, key: bytes, proven: frozenset[int] = frozenset()) -> None:
        self._key = key
        self._proven = proven
        self._counter = 0

    def open(self, data: bytes | bytearray) -> Frame:
        """Return the frame in `data` (without its 4 bytes of length), or raise ProtocolError."""
        if len(data) < _FIXED_BYTES:
            raise ProtocolError("a frame is cut short")
        kind, request, header_length = _PRELUDE.unpack_from(data)
        start = _FIXED_BYTES
        rest = len(data) - start
        if header_length > rest:
            raise ProtocolError("a frame's header is longer than the frame")
        body_hash = b""
        if rest > header_length and kind not in self._proven:
            body_hash = bytes(data[start : start + HASH_BYTES])
            start += HASH_BYTES
            if rest <= header_length + HASH_BYTES:
                raise ProtocolError("a frame is cut within its body's hash")
        body_start = start + header_length
        header = bytes(data[start:body_start])
        proof = body_hash or _LENGTH.pack(len(data) - body_start)
        signed = _SIGNED.pack(self._counter, kind, request, header_length) + proof + header
        if blake3(signed, key=self._key).digest(length=MAC_BYTES) != data[_PRELUDE.size : _FIXED_BYTES]:
            raise ProtocolError("a frame's MAC is wrong: another volume's key, or a replay")
        body: bytes | memoryview = memoryview(data)[body_start:] if len(data) > body_start else b""
        if body_hash and blake3(body).digest() != body_hash:
            raise ProtocolError("a frame's body does not match its hash")
        self._counter += 1
        return Frame(kind, request, header, body)
