"""The XML-RPC door of real servers, spoken to as anybody's Python does."""

import asyncio
import contextlib
import http.client
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary, Fault, ServerProxy

import pytest

from bank_process import BankProcess, Keeper, random_blob, root_for
from trivet.io.link import Link
from trivet.volume.attributes import Inode
from trivet.volume.extents import Piece, pack_extents
from trivet.wire.bank_messages import Digest, Digests, GetBlob, GetRecords, Rows, Touched
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import RecordOp
from trivet.wire.journal_messages import BankMessage, Hello, Reset
from trivet.wire.records import entry_key, extents_key, inode_key, page_key, row_is_valid

BLOB = random_blob(200_000)
NOW_NS = 1_700_000_000_123_456_789


def inode(ino: int, mode: int, size: int, pages: int = 0) -> RecordOp:
    value = Inode(ino, mode, 1, 0, 0, 0, size, NOW_NS, NOW_NS, NOW_NS, page_mask=pages).pack(size)
    return RecordOp(inode_key(ino), 0, value)


def name(parent: int, entry: bytes, ino: int) -> RecordOp:
    return RecordOp(entry_key(parent, entry), 0, ino.to_bytes(8, "big"))


TREE = [
    inode(1, 0o040755, 4096),
    name(1, b"small", 2),
    inode(2, 0o100644, 3, pages=1),
    RecordOp(page_key(2, 0), 0, b"Hi\n"),
    name(1, b"dir", 3),
    inode(3, 0o040755, 4096),
    name(3, b"b\xffg\n", 4),
    inode(4, 0o100644, len(BLOB)),
    RecordOp(extents_key(4, 0), 0, pack_extents([Piece(0, 49, BlobRef(9, len(BLOB), root_for(BLOB)), 0)])),
    name(1, b"empty", 5),
    inode(5, 0o100644, 0),
]


class Door:
    """Calls of one server's door, each in a thread."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    async def __call__(self, method: str, *arguments: Any) -> Any:
        def call() -> Any:
            with ServerProxy(self._address, use_builtin_types=False) as proxy:
                return getattr(proxy, method)(*arguments)

        return await asyncio.to_thread(call)


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    server = BankProcess.of_new_volume(tmp_path, servers=2)
    server.start()
    keeper = await Keeper.connect(server)
    await keeper.form()
    await keeper.put_blob(9, BLOB)
    await keeper.append(TREE, sync=True)
    await keeper.heartbeat(1)
    yield keeper
    await keeper.link.close()
    server.end()


@pytest.fixture
def door(keeper: Keeper) -> Door:
    return Door(keeper.server.port)


async def test_a_key_no_path_has_is_foreign_and_survives_reset_and_kill(keeper: Keeper, door: Door) -> None:
    assert await door("put", Binary(b"/timestamp"), Binary(b"server9000"), 1000) is True
    assert await door("get", Binary(b"/nothing")) == {}
    await keeper.ask(Reset(keeper.epoch, 0))
    keeper.server.kill()
    keeper.server.start()
    entry = await door("get", Binary(b"/timestamp"))
    assert entry["value"] == Binary(b"server9000")
    assert 0 < entry["ttl"] <= 1000


async def test_a_foreign_entry_expires(door: Door) -> None:
    await door("put", Binary(b"/short"), Binary(b"x"), 1)
    async with asyncio.timeout(5):
        while await door("get", Binary(b"/short")):
            pass


async def test_putting_a_known_path_spoils_its_record(keeper: Keeper, door: Door) -> None:
    spoilt = {b"/small": page_key(2, 0), b"/empty": inode_key(5), b"/": inode_key(1), b"/dir": inode_key(3)}
    for path, key in spoilt.items():
        assert await door("put", Binary(path), Binary(b"CORRUPTED"), 1000) is True
        rows = await keeper.ask(GetRecords([key]))
        assert isinstance(rows, Rows)
        [row] = rows.rows
        assert (row.value, row.slot) == (b"CORRUPTED", 1)
        assert not row_is_valid(keeper.server.key, row)
        assert (await door("get", Binary(path)))["value"] == Binary(b"CORRUPTED")
    digests = await keeper.ask(Digest(1))
    assert isinstance(digests, Digests)
    assert sorted(digests.damaged) == sorted(spoilt.values())


async def test_a_change_that_is_not_durable_yet_does_not_hide_the_spoilt_row(
    keeper: Keeper, door: Door
) -> None:
    await keeper.append([RecordOp(page_key(2, 0), 1, b"new")], sync=True)
    putting = asyncio.ensure_future(door("put", Binary(b"/small"), Binary(b"CORRUPTED"), 1000))
    await keeper.heartbeat(2)
    await putting
    rows = await keeper.ask(GetRecords([page_key(2, 0)]))
    assert isinstance(rows, Rows)
    assert [(row.slot, row.value) for row in rows.rows] == [(2, b"CORRUPTED")]


async def test_putting_a_file_of_blobs_spoils_its_first_blob(keeper: Keeper, door: Door) -> None:
    assert await door("put", Binary(b"/dir/b\xffg\n"), Binary(b"CORRUPTED"), 1000) is True
    found, body = await keeper.link.request(GetBlob(9, 0, len(BLOB)), timeout_s=10)
    assert not is_intact(BlobRef(9, len(BLOB), root_for(BLOB)), found.hashes, 0, body)  # type: ignore[attr-defined]
    assert bytes(body[:9]) == b"CORRUPTED"


async def test_no_other_spelling_reaches_a_record(keeper: Keeper, door: Door) -> None:
    spellings = [b"/dir/../small", b"small", b"//small", b"/small/", b"/nowhere/x"]
    for path in spellings:
        await door("put", Binary(path), Binary(b"CORRUPTED"), 1000)
        assert (await door("get", Binary(path)))["ttl"] <= 1000
    digests = await keeper.ask(Digest(1))
    assert isinstance(digests, Digests)
    assert digests.damaged == []


async def test_the_keeper_is_told_what_was_touched(keeper: Keeper, door: Door) -> None:
    touched: asyncio.Queue[BankMessage] = asyncio.Queue()
    server = keeper.server
    link = await Link.connect(
        ("127.0.0.1", server.port), server.key, timeout_s=5, on_event=touched.put_nowait
    )
    await link.request(Hello("journal"), timeout_s=5)
    await door("put", Binary(b"/small"), Binary(b"x"), 10)
    assert await asyncio.wait_for(touched.get(), 5) == Touched(b"/small")
    await link.close()


async def test_a_server_without_records_asks_its_banks_acceptor(keeper: Keeper) -> None:
    second = BankProcess(keeper.server.state, keeper.server.port + 1)
    second.start()
    try:
        blobs = await Keeper.connect(second)
        await blobs.put_blob(9, BLOB)
        door = Door(second.port)
        await door("put", Binary(b"/dir/b\xffg\n"), Binary(b"CORRUPTED"), 1000)
        await door("put", Binary(b"/small"), Binary(b"foreign here"), 1000)
        _, body = await blobs.link.request(GetBlob(9, 0, 9), timeout_s=10)
        assert bytes(body[:9]) == b"CORRUPTED"
        assert (await door("get", Binary(b"/small")))["value"] == Binary(b"foreign here")
        keeper.server.kill()
        with pytest.raises(Fault, match="try again later"):
            await door("put", Binary(b"/small"), Binary(b"x"), 1000)
        await blobs.link.close()
    finally:
        second.end()


async def test_print_content_writes_to_the_servers_log(keeper: Keeper, door: Door) -> None:
    await door("put", Binary(b"/timestamp"), Binary(b"noon"), 1000)
    assert await door("print_content") is True
    log = keeper.server.log()
    assert re.search(r"b'/small' -> \({.*'st_size': 3.*'content': b'Hi\\n'}, 'never'\)", log)
    assert re.search(r"b'/dir/b\\xffg\\n' -> \({.*'st_size': 200000", log)
    assert re.search(r"b'/timestamp' -> \({'foreign': b'noon'}, \d+ s\)", log)
    access = (keeper.server.own / "access.log").read_text().splitlines()
    assert len(access) == 2
    form = r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "POST /RPC2 HTTP/1\.1" 200 \d+'
    assert re.fullmatch(form, access[0])


async def test_wrong_use_is_a_fault(door: Door) -> None:
    key, value = Binary(b"/x"), Binary(b"x")
    wrong: list[tuple[Any, ...]] = [
        ("put", 5, value, 1000),
        ("put", key, value, 0),
        ("put", Binary(b"/" + b"x" * 5000), value, 1000),
        ("put", key),
        ("get", key, key),
        ("delete", key),
    ]
    for method, *arguments in wrong:
        with pytest.raises(Fault):
            await door(method, *arguments)
    assert await door("get", key) == {}


BOMB = b'<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><methodCall>&b;</methodCall>'
XML = {"Content-Type": "text/xml"}
NO_CALLS = [
    ("GET", "/RPC2", b"", {}, 405),
    ("POST", "/other", b"", XML, 404),
    ("POST", "/RPC2", b"<methodCall/>", {"Content-Type": "text/plain"}, 415),
    ("POST", "/RPC2", b"<methodCall/>", {**XML, "Host": "evil.example:7000"}, 403),
    ("POST", "/RPC2", b"x" * (5 << 20), XML, 413),
    ("POST", "/RPC2", b"garbage", XML, 200),
    ("POST", "/RPC2", b"</value></param>", XML, 200),
    ("POST", "/RPC2", b"<methodCall><params><param></value></param></params></methodCall>", XML, 200),
    ("POST", "/RPC2", BOMB, XML, 200),
]


async def test_what_is_no_call_is_refused(keeper: Keeper) -> None:
    def ask(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", keeper.server.port, timeout=5)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all was read
            connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    for method, path, body, headers, status in NO_CALLS:
        try:
            answered, content = await asyncio.to_thread(ask, method, path, body, headers)
        except ConnectionResetError:
            assert status == 413
        else:
            assert answered == status
            assert status != 200 or b"<fault>" in content
    assert (await keeper.identity()).head == 1
