"""A change that a client asks another keeper for again is done once, and told what it was told before."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from door_rig import DoorRig, door_rig
from trivet.io.link import Link
from trivet.keeper import asked_calls
from trivet.volume.body_calls import Create, Flush, Open, Publish, Write
from trivet.volume.call_types import Call
from trivet.volume.interface import ROOT_INO, AttributeChanges, Attributes, Caller
from trivet.volume.name_calls import (
    GetAttr,
    MkDir,
    MkNod,
    RemoveXattr,
    Rename,
    RmDir,
    SetAttr,
    SetXattr,
    SymLink,
    Unlink,
)
from trivet.volume.name_calls import Link as LinkCall
from trivet.wire.records import ASKED
from trivet.wire.volume_messages import VolumeAnswer, VolumeCall, VolumeHello, VolumeRefusal

ME = Caller(0, 0)
encode = msgspec.msgpack.encode


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[DoorRig]:
    """A keeper's door, which may be closed and opened again by the next one."""
    async with door_rig(tmp_path / "state") as rig:
        yield rig


class Client:
    """A client that says every change again to the next keeper, as if it had heard nothing."""

    def __init__(self, rig: DoorRig, number: int = 1) -> None:
        self._rig = rig
        self._name = number.to_bytes(16, "big")
        self._sequence = 0

    async def say(self, sequence: int, call: Call, answered: int, data: bytes = b"") -> Any:
        """Say something to the keeper that is there; return its result, or the error's name and errno."""
        key = self._rig.folder.read_key()
        link = await Link.connect(self._rig.folder.volume_socket, key, timeout_s=5)
        try:
            await link.request(VolumeHello(self._name), timeout_s=5)
            message = VolumeCall(sequence, encode(call), answered)
            reply, _data = await link.request(message, data, timeout_s=5)
        finally:
            await link.close()
        if isinstance(reply, VolumeRefusal):
            return reply.error, reply.errno
        assert isinstance(reply, VolumeAnswer)
        return msgspec.msgpack.decode(reply.result)

    async def change(self, call: Call, data: bytes = b"") -> Any:
        """Have something changed once; return the result."""
        self._sequence += 1
        return await self.say(self._sequence, call, self._sequence, data)

    async def twice(self, call: Call) -> tuple[Any, Any]:
        """Have something changed, and asked of the next keeper again; return both results."""
        first = await self.change(call)
        await self._rig.stop()
        await self._rig.start()
        return first, await self.say(self._sequence, call, self._sequence)


async def test_every_change_of_names_and_attributes_is_told_the_same_again(rig: DoorRig) -> None:
    client = Client(rig)
    made, again = await client.twice(MkDir(ROOT_INO, b"d", 0o755, ME))
    assert made == again
    file, again = await client.twice(MkNod(ROOT_INO, b"f", 0o100644, 0, ME))
    assert file == again
    ino = msgspec.convert(file, Attributes).ino
    changes: list[Call] = [
        SymLink(ROOT_INO, b"s", b"target", ME),
        LinkCall(ino, ROOT_INO, b"g"),
        Rename(ROOT_INO, b"g", ROOT_INO, b"h", False, False),
        SetAttr(ino, AttributeChanges(mode=0o600)),
        SetXattr(ino, b"user.a", b"1", True, False),
        RemoveXattr(ino, b"user.a"),
        Unlink(ROOT_INO, b"h"),
        RmDir(ROOT_INO, b"d"),
    ]
    for call in changes:
        first, again = await client.twice(call)
        assert first == again, call
        assert not (isinstance(first, tuple)), (call, first)
    names = [entry.name for entry in await rig.volume.listing(ROOT_INO, 0, 100)]
    assert sorted(names) == [b"f", b"s"]


async def test_a_refusal_is_no_change_and_a_later_keeper_decides_anew(rig: DoorRig) -> None:
    client, call = Client(rig), MkDir(ROOT_INO, b"d", 0o755, ME)
    await client.change(call)
    assert (await client.twice(call))[1] == ("FileSystemError", 17)


async def test_what_was_opened_is_opened_again_and_no_second_time_cut(rig: DoorRig) -> None:
    client = Client(rig)
    first, (made, handle) = await client.twice(Create(ROOT_INO, b"f", 0o644, ME))
    assert first[0] == made
    await client.change(Write(handle, 0), b"body")
    await client.say(0, Flush(handle), 0)
    ino = msgspec.convert(made, Attributes).ino
    await client.change(Open(ino, True, True, False))
    assert (await rig.volume.getattr(ino)).size == 0
    writing = await rig.volume.open(ino, writing=True, truncate=False, sync=False)
    await rig.volume.write(writing, 0, b"of somebody else")
    await rig.volume.fsync(writing)
    await rig.stop()
    await rig.start()
    handle = await client.say(client._sequence, Open(ino, True, True, False), client._sequence)
    assert await rig.volume.read(handle, 0, 100) == b"of somebody else"


async def test_content_is_published_once_and_told_its_version(rig: DoorRig) -> None:
    client = Client(rig)
    files = []
    for name, body in ((b"staged", b"new"), (b"target", b"old")):
        made, handle = await client.change(Create(ROOT_INO, name, 0o644, ME))
        await client.change(Write(handle, 0), body)
        await client.say(0, Flush(handle), 0)
        files.append(msgspec.convert(made, Attributes).ino)
    version = await rig.volume.version(files[1])
    publish = Publish(files[0], files[1], version)
    first = await client.change(publish)
    await rig.volume.setattr(files[1], AttributeChanges(mode=0o600))  # by somebody, before it is asked again
    await rig.volume.fsyncdir(ROOT_INO)
    await rig.stop()
    await rig.start()
    assert await client.say(client._sequence, publish, client._sequence) == first
    handle = await rig.volume.open(files[1], writing=False, truncate=False, sync=False)
    assert await rig.volume.read(handle, 0, 10) == b"new"


async def test_clients_are_forgotten_by_time_and_by_number(
    rig: DoorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_calls, "CLIENTS_MAX", 3)
    for number in range(5):
        await Client(rig, number).change(MkDir(ROOT_INO, b"%d" % number, 0o755, ME))

    def known() -> set[int]:
        assert {key for key in rig.banks.rows if key.startswith(ASKED)} == {
            ASKED + client for client in rig.volume.space.asked
        }
        return {int.from_bytes(client, "big") for client in rig.volume.space.asked}

    assert known() == {2, 3, 4}
    await rig.stop()
    await rig.start()
    await Client(rig, 5).change(MkDir(ROOT_INO, b"5", 0o755, ME))
    assert known() == {3, 4, 5}, "the one that asked the longest ago went"
    here = [(4).to_bytes(16, "big")]
    rig.volume.forget_clients(here, 1000.0)
    rig.volume.forget_clients(here, 1000.0 + asked_calls.FORGET_AFTER_S)
    assert known() == {3, 4, 5}
    rig.volume.forget_clients(here, 1001.0 + asked_calls.FORGET_AFTER_S)
    await rig.volume.fsyncdir(ROOT_INO)
    assert known() == {4}


async def test_doors_of_the_keeper_itself_leave_no_records(rig: DoorRig) -> None:
    await rig.volume.mkdir(ROOT_INO, b"d", 0o755, ME)
    await Client(rig).say(0, GetAttr(ROOT_INO), 0)
    assert not rig.volume.space.asked
