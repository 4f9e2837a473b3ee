"""Peers that break the protocol against a real server: closed with a log line, and nothing changes."""

import asyncio
import contextlib
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from bank_process import BankProcess, Keeper, random_blob
from trivet.bank.server import run_bank
from trivet.errors import ConfigError
from trivet.io.link import Link, LinkLost
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire import auth
from trivet.wire.bank_messages import PROVEN_KINDS, GetBlob, PutBlob, encode_message
from trivet.wire.blobs import sub_hashes
from trivet.wire.entries import RecordOp
from trivet.wire.frames import FrameSealer
from trivet.wire.journal_messages import Append, Hello


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    server = BankProcess.of_new_volume(tmp_path)
    server.start()
    keeper = await Keeper.connect(server)
    await keeper.form()
    yield keeper
    await keeper.link.close()
    server.end()


def closes(port: int, *pieces: bytes) -> bool:
    """Tell whether the server closes a connection on which it is sent `pieces`."""
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        try:
            for piece in pieces:
                peer.sendall(piece)
            while peer.recv(65536):
                pass
        except ConnectionError:
            pass
        return True


def handshake(peer: socket.socket, key: bytes) -> FrameSealer:
    nonce = os.urandom(auth.NONCE_BYTES)
    peer.sendall(auth.hello(nonce))
    answer = peer.recv(auth.HELLO_BYTES, socket.MSG_WAITALL)
    to_server, _ = auth.session_keys(key, nonce, auth.nonce_of(answer))
    return FrameSealer(to_server, PROVEN_KINDS)


async def test_garbage_half_frames_and_oversize_change_nothing(keeper: Keeper) -> None:
    server = keeper.server
    process = psutil.Process(server.pid)
    await asyncio.to_thread(closes, server.port, os.urandom(100))
    before = process.memory_info().rss
    hello = auth.hello(bytes(32))
    assert await asyncio.to_thread(closes, server.port, b"TRIV" + os.urandom(2 << 20))
    assert await asyncio.to_thread(closes, server.port, hello, struct.pack(">I", 0xFFFFFFFF), bytes(8 << 20))
    assert await asyncio.to_thread(
        closes, server.port, hello, struct.pack(">IBII", 209, 1, 1, 0), os.urandom(200)
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(hello + struct.pack(">I", 5000) + b"half a frame")
    assert process.memory_info().rss - before < 32 << 20
    log = server.log()
    assert "does not speak trivet's protocol" in log
    assert "a frame of 4294967295 bytes is not of this protocol" in log
    assert "a frame's MAC is wrong" in log
    identity = await keeper.identity()
    assert (identity.standing, identity.head) == ("voter", 0)


async def test_another_volumes_key_gets_nothing(keeper: Keeper) -> None:
    link = await Link.connect(("127.0.0.1", keeper.server.port), os.urandom(32), timeout_s=5)
    with pytest.raises(LinkLost):
        await link.request(Hello("journal"), timeout_s=5)
    await link.close()
    assert "a frame's MAC is wrong" in keeper.server.log()


async def test_a_replayed_frame_loses_the_connection(keeper: Keeper) -> None:
    def replay() -> bool:
        with socket.create_connection(("127.0.0.1", keeper.server.port), 10) as peer:
            sealer = handshake(peer, keeper.server.key)
            append, raw = keeper.seal([RecordOp(b"i/once", 0, b"x")])
            frame = sealer.seal(*_framed(append), raw) + raw
            peer.sendall(frame)
            assert len(peer.recv(4, socket.MSG_WAITALL)) == 4
            peer.sendall(frame)
            while peer.recv(65536):
                pass
            return True

    assert await asyncio.to_thread(replay)
    assert (await keeper.identity()).head == 1
    assert "a replay" in keeper.server.log()


def _framed(message: Append) -> tuple[int, int, bytes]:
    kind, header = encode_message(message)
    return kind, 1, header


async def test_a_peer_that_never_asks_is_let_go(keeper: Keeper) -> None:
    def idle() -> bool:
        with socket.create_connection(("127.0.0.1", keeper.server.port), 10) as peer:
            handshake(peer, keeper.server.key)
            return peer.recv(1) == b""

    assert await asyncio.to_thread(idle)


async def test_a_client_that_dies_with_requests_under_way_harms_nobody(keeper: Keeper) -> None:
    server = keeper.server
    blob = random_blob(1 << 20)
    await keeper.put_blob(1, blob)

    def die() -> None:
        with (
            contextlib.suppress(TimeoutError),
            socket.create_connection(("127.0.0.1", server.port), 10) as peer,
        ):
            sealer = handshake(peer, server.key)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.settimeout(0.5)  # nobody reads the answers, so at some time the server reads no more
            for name in range(10, 40):
                kind, header = encode_message(PutBlob(name, sub_hashes(blob), False))
                peer.sendall(sealer.seal(kind, name, header, blob) + blob)
                kind, header = encode_message(GetBlob(1, 0, 1 << 20))
                peer.sendall(sealer.seal(kind, 100 + name, header))

    await asyncio.to_thread(die)
    await keeper.append([RecordOp(b"i/a", 0, b"x")], sync=True)
    assert psutil.Process(server.pid).is_running()
    assert "bug" not in server.log()
    assert server.stop() == 0


async def test_the_ways_a_server_can_not_begin(keeper: Keeper, tmp_path: Path) -> None:
    server = keeper.server
    with pytest.raises(ConfigError, match="another server works on"):
        run_bank(server.port, server.state)
    with pytest.raises(ConfigError, match="none of this volume's servers"):
        run_bank(server.port + 1, server.state)
    with pytest.raises(ConfigError, match="loopback only"):
        run_bank(server.port, server.state, host="0.0.0.0")
    other = VolumeFolder(tmp_path / "other")
    config = server.folder.read_config()
    other.create(VolumeConfig("11" * 8, config.bases, 1))
    with pytest.raises(ConfigError, match=f"port {server.port} can't be used"):
        run_bank(server.port, other.path)
    other.key_path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        run_bank(server.port, other.path)


async def test_the_log_has_no_traceback_after_all_that(keeper: Keeper) -> None:
    server = keeper.server
    code = f"import socket; socket.create_connection(('127.0.0.1', {server.port})).sendall(b'x')"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True)
    await keeper.put_blob(0, b"a name that can't be")
    await keeper.link.request(GetBlob(-1, -5, 1 << 40), timeout_s=5)
    assert server.stop() == 0
    assert not re.search("Traceback|CRITICAL", server.log())
