"""The volume door: who breaks the protocol loses the connection with one log line, and harms nobody else."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from door_rig import DoorRig, door_rig
from small_drive import small_drive
from trivet.client.remote_volume import connected
from trivet.errors import Conflict, FileSystemError, ProtocolError
from trivet.io.link import Link, LinkLost
from trivet.keeper import volume_door
from trivet.volume.body_calls import BlobPart, BlobsStored, Create, Open, PutBlobs, Read, TakeNames
from trivet.volume.interface import ROOT_INO, Attributes, Caller
from trivet.volume.name_calls import GetAttr, MkDir
from trivet.wire.bank_messages import Stat
from trivet.wire.blobs import BlobRef
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import (
    KeeperFollows,
    VolumeAnswer,
    VolumeCall,
    VolumeHello,
    VolumeRefusal,
)

ME = Caller(0, 0)
HELLO = VolumeHello(b"c" * 16)
encode = msgspec.msgpack.encode


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DoorRig]:
    """A keeper's door."""
    async with door_rig(tmp_path / "state") as rig:
        yield rig


async def link_to(rig: DoorRig, key: bytes | None = None) -> Link:
    """Connect as anybody could who has the socket."""
    return await Link.connect(rig.folder.volume_socket, key or rig.folder.read_key(), timeout_s=5)


CALLS: dict[str, list[BankMessage]] = {
    "no hello": [VolumeCall(0, encode(GetAttr(ROOT_INO)))],
    "a short name": [VolumeHello(b"short")],
    "hello twice": [HELLO, HELLO],
    "a bank's message": [HELLO, Stat()],
    "an answer": [HELLO, VolumeAnswer(b"")],
    "no msgpack": [HELLO, VolumeCall(0, b"\xc1\xff")],
    "an unknown call": [HELLO, VolumeCall(0, encode(["Format", 1]))],
    "a negative number": [HELLO, VolumeCall(0, encode(["GetAttr", -1]))],
    "a huge number": [HELLO, VolumeCall(0, encode(["GetAttr", 1 << 63]))],
    "a huge read": [HELLO, VolumeCall(0, encode(Read(1, 0, 1 << 40)))],
    "many names": [HELLO, VolumeCall(1, encode(TakeNames(1 << 30)))],
    "many reports": [HELLO, VolumeCall(0, encode(BlobsStored(7000, list(range(1000)), True)))],
    "no parts": [HELLO, VolumeCall(1, encode(PutBlobs(1, [])))],
    "a change without a sequence": [HELLO, VolumeCall(0, encode(MkDir(ROOT_INO, b"d", 0o755, ME)))],
    "nested deep": [HELLO, VolumeCall(0, b"\x91" * 5000)],
}


@pytest.mark.parametrize("what", CALLS)
async def test_what_breaks_the_protocol_ends_the_connection(
    rig: DoorRig, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with connected(rig.folder) as other:
        link = await link_to(rig)
        *well, bad = CALLS[what]
        for message in well:
            await link.request(message, timeout_s=5)
        with pytest.raises(LinkLost):
            await link.request(bad, timeout_s=5)
        await link.close()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "closed the connection" in caplog.text
        assert (await other.getattr(ROOT_INO)).nlink == 2


@pytest.mark.parametrize("garbage", [b"\0" * 64, b"GET / HTTP/1.0\r\n\r\n" * 9, os.urandom(4096)])
async def test_garbage_and_wrong_keys_get_nothing(
    rig: DoorRig, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    reader, writer = await asyncio.open_unix_connection(rig.folder.volume_socket)
    writer.write(garbage)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    stranger = await link_to(rig, b"k" * 32)
    with pytest.raises(LinkLost):
        await stranger.request(HELLO, timeout_s=5)
    await stranger.close()
    assert len(caplog.records) == 2


def test_only_its_owner_may_open_the_socket(tmp_path: Path) -> None:
    async def run() -> int:
        async with door_rig(tmp_path / "state") as rig:
            return rig.folder.volume_socket.stat().st_mode & 0o777

    assert asyncio.run(run()) == 0o600


async def test_who_never_says_who_he_is_loses_his_place(
    rig: DoorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume_door, "WELCOME_TIMEOUT_S", 0.05)
    silent = await link_to(rig, bytes(32))  # the key shows at the first request only
    async with asyncio.timeout(30):
        await silent.lost.wait()
    await silent.close()


async def test_too_many_connections_are_turned_away(rig: DoorRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_door, "CONNECTIONS_MAX", 2)
    links = [await link_to(rig) for _link in range(2)]
    with pytest.raises(LinkLost):
        await link_to(rig)
    await links[0].close()
    async with asyncio.timeout(5):
        while True:
            try:
                links.append(await link_to(rig))
                break
            except LinkLost:
                await asyncio.sleep(0.01)
    for link in links[1:]:
        await link.close()


class Direct:
    """A client that says exactly what it is told to."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.sequence = 0

    async def ask(self, call: Any, kind: type = object, data: bytes = b"") -> Any:
        """Return the result of a call, or the name of the error it is refused with."""
        self.sequence += 1
        reply, body = await self.link.request(
            VolumeCall(self.sequence if call.changes else 0, encode(call)), data, timeout_s=5
        )
        if isinstance(reply, VolumeRefusal):
            return reply.error
        assert isinstance(reply, VolumeAnswer)
        return bytes(body) if body else msgspec.msgpack.decode(reply.result, type=kind)


@pytest.fixture
async def direct(rig: DoorRig) -> AsyncIterator[Direct]:
    """Such a client, after its hello."""
    link = await link_to(rig)
    await link.request(HELLO, timeout_s=5)
    yield Direct(link)
    await link.close()


def part_of(name: int, change: Callable[[dict[str, Any]], None] = lambda part: None) -> BlobPart:
    """Return a part that may stand at the start of a file, changed a little."""
    part = {"mib": 0, "page": 0, "blob": BlobRef(name, 4096, bytes(16)), "bases": [7000, 9000]}
    change(part)
    return BlobPart(**part)


async def test_blobs_are_taken_only_as_they_were_lent(rig: DoorRig, direct: Direct) -> None:
    made, handle = await direct.ask(Create(ROOT_INO, b"f", 0o644, ME), tuple[Attributes, int])
    first = await direct.ask(TakeNames(9), int)
    assert await direct.ask(PutBlobs(handle, [part_of(first + 9)])) == "Conflict"
    assert await direct.ask(PutBlobs(handle, [part_of(first), part_of(first)])) == "Conflict"
    bad: list[Callable[[dict[str, Any]], None]] = [
        lambda part: part.update(bases=[7000]),
        lambda part: part.update(bases=[7000, 7000]),
        lambda part: part.update(bases=[7000, 1]),
        lambda part: part.update(page=255, blob=BlobRef(part["blob"].name, 8192, bytes(16))),
        lambda part: part.update(blob=BlobRef(part["blob"].name, 0, bytes(16))),
        lambda part: part.update(blob=BlobRef(part["blob"].name, 10, b"short")),
    ]
    for number, change in enumerate(bad):
        assert await direct.ask(PutBlobs(handle, [part_of(first + number, change)])) == "FileSystemError"
        assert await direct.ask(PutBlobs(handle, [part_of(first + number)])) == "Conflict", "it is used up"
    assert await direct.ask(PutBlobs(handle, [part_of(first + 6)])) is None
    assert rig.blobs.stored == [(first + 6, 7000), (first + 6, 9000)]
    assert (await rig.volume.getattr(made.ino)).size == 4096
    assert await direct.ask(PutBlobs(handle + 1, [part_of(first + 7)])) == "FileSystemError"
    await rig.volume.fsyncdir(ROOT_INO)
    assert rig.banks.freed == set(range(first, first + 6))


async def test_a_blob_that_ends_within_the_file_is_refused(rig: DoorRig, direct: Direct) -> None:
    async with connected(rig.folder) as volume:
        made, writing = await volume.create(ROOT_INO, b"f", 0o644, ME)
        await volume.write(writing, 0, b"x" * 9000)
        await volume.flush(writing)
        handle = await direct.ask(Open(made.ino, True, False, False), int)
        first = await direct.ask(TakeNames(2), int)
        short = BlobPart(0, 0, BlobRef(first, 5000, bytes(16)), [7000, 8000])
        assert await direct.ask(PutBlobs(handle, [short])) == "FileSystemError"
        longer = BlobPart(0, 1, BlobRef(first + 1, 4905, bytes(16)), [7000, 8000])
        assert await direct.ask(PutBlobs(handle, [longer])) is None
        assert (await volume.getattr(made.ino)).size == 9001


async def test_a_change_repeated_is_answered_from_memory(rig: DoorRig, direct: Direct) -> None:
    call = VolumeCall(7, encode(MkDir(ROOT_INO, b"d", 0o755, ME)))
    replies = [(await direct.link.request(call, timeout_s=5))[0] for _time in range(3)]
    assert len({reply.result for reply in replies if isinstance(reply, VolumeAnswer)}) == 1
    again = VolumeCall(8, call.call)
    reply, _ = await direct.link.request(again, timeout_s=5)
    assert isinstance(reply, VolumeRefusal)


def test_errors_keep_their_class_and_errno() -> None:
    from trivet.client.keeper_link import error_of

    told = error_of(VolumeRefusal("FileSystemError", 39, "not empty"))
    assert isinstance(told, FileSystemError)
    assert told.errno == 39
    assert isinstance(error_of(VolumeRefusal("Conflict", 17, "x")), Conflict)
    assert type(error_of(VolumeRefusal("annotations", 5, "x"))).__name__ == "TrivetError"


async def test_only_the_keeper_that_may_stand_by_is_heard(tmp_path: Path) -> None:
    """On one machine it says so by the control socket; what comes from another host is no keeper of ours."""
    async with small_drive(tmp_path) as drive:
        assert drive.keeper.loaded is not None
        companion = drive.keeper.loaded.companion
        with pytest.raises(ProtocolError, match="not the one to stand by"):
            companion.follows_from_afar(KeeperFollows("standby", 7, 100, "", 6))
        assert companion.told() is None
