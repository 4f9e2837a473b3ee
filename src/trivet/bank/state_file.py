"""What a server keeps beside its stores, replaced whole in one synced step: its vote, its journal's files.

Rule: a state that can't be read, or is another server's, counts as none: the server starts empty.
"""

import logging
import os
import struct
from pathlib import Path

import msgspec
from blake3 import blake3

from trivet.bank.journal_format import JournalList
from trivet.io.disk import exchange, sync_folder, write_whole
from trivet.quorum.acceptor_commands import AcceptorMeta

log = logging.getLogger(__name__)

_MAGIC = b"TRVSTAT1"
_MAC_BYTES = 16
_LENGTH = struct.Struct(">I")
_CONTENT_BYTES = 128 << 10


class ServerState(msgspec.Struct, frozen=True, array_like=True):
    """Everything of a server that is neither journal entry, record nor blob.

    `segments` are (number, bytes) of the blob segments to cut after a failed sync: what stands behind
    was never safe.
    """

    acceptor: AcceptorMeta
    journal: JournalList = JournalList()
    segments: list[tuple[int, int]] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ServerState).decode


def store_state(path: Path, volume_key: bytes, state: ServerState) -> None:
    """Replace what `path` holds by `state` and sync it; blocks, but needs no room after the first time."""
    encoded = _encode(state)
    content = _LENGTH.pack(len(encoded)) + encoded.ljust(_CONTENT_BYTES, b"\0")
    assert len(content) == _LENGTH.size + _CONTENT_BYTES, "a journal of that many files is not trimmed"
    spare = path.with_name(path.name + ".spare")
    _write(spare, _MAGIC + _mac(volume_key, content) + content)
    if path.exists():
        exchange(spare, path)
    else:
        spare.rename(path)
        _write(spare, bytes(len(_MAGIC) + _MAC_BYTES + len(content)))
    sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        write_whole(fd, [content], 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def load_state(path: Path, volume_key: bytes, volume: str, port: int) -> ServerState | None:
    """Return the state in `path`; None if there is none, it is damaged, or it is another server's."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    said_at = len(_MAGIC) + _MAC_BYTES
    content = stored[said_at : said_at + _LENGTH.size + _CONTENT_BYTES]
    if stored[:said_at] != _MAGIC + _mac(volume_key, content):
        log.error("%s is damaged: this server starts as an empty one", path)
        return None
    try:
        (length,) = _LENGTH.unpack_from(content)
        state = _decode(content[_LENGTH.size : _LENGTH.size + length])
    except msgspec.DecodeError as error:
        log.error("%s is of another version (%s): this server starts as an empty one", path, error)
        return None
    if (state.acceptor.volume, state.acceptor.port) != (volume, port):
        log.error("%s belongs to server %s: this one starts as empty", path, state.acceptor.port)
        return None
    return state


def _mac(volume_key: bytes, content: bytes) -> bytes:
    return bytes(blake3(b"state" + content, key=volume_key).digest(length=_MAC_BYTES))
