"""A real bank server through the link: what it stores it gives back, after a stop and after kill -9."""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bank_process import DEADLINE_S, BankProcess, Keeper, random_blob, root_for
from trivet.io.link import Link
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    DeleteBlobs,
    Digest,
    Digests,
    GetBlob,
    GetRecords,
    ListBlobs,
    ListRecords,
    PutRows,
    Rows,
    Scrubbed,
    ScrubBlobs,
    ServerStat,
    Stat,
    SyncBlobs,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import RecordOp, open_entry, split_entries
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    AdoptPart,
    Appended,
    Assign,
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
from trivet.wire.records import Row, bucket_of, digest_term, record_mac, row_is_valid


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BankProcess]:
    process = BankProcess.of_new_volume(tmp_path, servers=2)
    process.start()
    yield process
    process.end()


@pytest.fixture
async def keeper(server: BankProcess) -> AsyncIterator[Keeper]:
    keeper = await Keeper.connect(server)
    await keeper.form()
    yield keeper
    await keeper.link.close()


async def rows_of(keeper: Keeper, *keys: bytes) -> dict[bytes, bytes]:
    rows = await keeper.ask(GetRecords(list(keys)))
    assert isinstance(rows, Rows)
    assert all(row_is_valid(keeper.server.key, row) for row in rows.rows)
    return {row.key: row.value for row in rows.rows}


async def test_an_entry_is_read_back_before_and_after_it_is_applied(keeper: Keeper) -> None:
    await keeper.append([RecordOp(b"i/a", 0, b"one"), RecordOp(b"i/b", 0, b"two")])
    appended = await keeper.append([RecordOp(b"i/b", 1, None)], sync=True)
    assert isinstance(appended, Appended)
    assert (appended.head, appended.synced) == (2, 2)
    assert await rows_of(keeper, b"i/a", b"i/b") == {b"i/a": b"one"}
    await keeper.heartbeat(2)
    digests = await keeper.ask(Digest(2))
    assert isinstance(digests, Digests)
    assert (digests.at, digests.rows, digests.damaged) == (2, 1, [])
    place = bucket_of(b"i/a") * 16
    assert digests.sums[place : place + 16] == digest_term(b"i/a", 1).to_bytes(16, "big")
    assert await rows_of(keeper, b"i/a", b"i/b") == {b"i/a": b"one"}


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_comes_back_as_the_voter_it_was(keeper: Keeper, end: str) -> None:
    server = keeper.server
    for number in range(20):
        await keeper.append([RecordOp(b"i/%d" % number, 0, b"x" * 5000)])
    await keeper.put_blob(7, random_blob(100_000))
    before = await keeper.identity()
    server.stop() if end == "stop" else server.kill()
    server.start()
    again = await Keeper.connect(server)
    after = await again.identity()
    assert (after.standing, after.head, after.head_hash) == ("voter", before.head, before.head_hash)
    assert (after.incarnation, after.promised, after.accepted_epoch) == (
        before.incarnation,
        before.promised,
        before.accepted_epoch,
    )
    assert len(await rows_of(again, *(b"i/%d" % number for number in range(20)))) == 20
    stat = await again.ask(Stat())
    assert isinstance(stat, ServerStat)
    assert (stat.blobs, stat.pid, stat.full) == (1, server.pid, False)
    await again.link.close()


async def test_a_lower_epoch_is_refused_once_a_higher_was_promised(keeper: Keeper) -> None:
    append, raw = keeper.seal([RecordOp(b"i/a", 0, b"one")])
    other = await Keeper.connect(keeper.server, number=9)
    assert isinstance(await other.ask(Prepare(other.epoch)), Identity)
    refusal = await keeper.ask(append, raw)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.promised) == ("promised", other.epoch)
    await other.link.close()


async def test_an_append_that_leaves_a_gap_is_refused_with_the_head(keeper: Keeper) -> None:
    keeper.seal([])
    refusal = await keeper.append([])
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.head) == ("gap", 0)


async def test_entries_that_are_not_whole_are_refused(keeper: Keeper) -> None:
    append, raw = keeper.seal([RecordOp(b"i/a", 0, b"one")])
    for wrong in (raw[:-1], raw + b"\0", raw[:60] + bytes([raw[60] ^ 1]) + raw[61:]):
        refusal = await keeper.ask(append, wrong)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == "request"
    assert (await keeper.identity()).head == 0


async def test_a_new_keeper_takes_the_log_over_and_installs_its_own_tail(keeper: Keeper) -> None:
    for number in range(6):
        await keeper.append([RecordOp(b"i/%d" % number, 0, b"old")], sync=True)
    server = keeper.server
    log, raw = await keeper.link.request(ReadLog(1, 1 << 20), timeout_s=10)
    assert isinstance(log, LogPart)
    kept = split_entries(bytes(raw))[:4]
    new = await Keeper.connect(server, number=2)
    await new.ask(Prepare(new.epoch))
    fourth = go_on_behind(new, kept)
    entry, tail = new.seal([RecordOp(b"i/5", 0, b"new")])
    assert entry.previous_hash == fourth
    assert await new.ask(AdoptBegin(new.epoch, 4, fourth)) == Done()
    assert await new.ask(AdoptPart(), tail) == Done()
    installed = await new.ask(AdoptEnd(5, new.head_hash))
    assert isinstance(installed, Appended)
    assert (installed.head, installed.synced) == (5, 5)
    assert await rows_of(new, b"i/3", b"i/4", b"i/5") == {b"i/3": b"old", b"i/5": b"new"}
    server.kill()
    server.start()
    again = await Keeper.connect(server)
    identity = await again.identity()
    assert (identity.head, identity.head_hash, identity.accepted_epoch) == (5, new.head_hash, new.epoch)
    assert await rows_of(again, b"i/4", b"i/5") == {b"i/5": b"new"}
    await again.link.close()
    await new.link.close()


def go_on_behind(keeper: Keeper, raws: list[bytes]) -> bytes:
    """Let `keeper` author behind the entries `raws`; return the hash of the last."""
    for raw in raws:
        keeper.head_hash = open_entry(keeper.server.key, raw).hash
        keeper.head += 1
    return keeper.head_hash


async def test_a_reset_server_is_filled_and_admitted(keeper: Keeper) -> None:
    await keeper.append([RecordOp(b"i/a", 0, b"gone")], sync=True)
    key = keeper.server.key
    before = await keeper.identity()
    reset = await keeper.ask(Reset(keeper.epoch, 40))
    assert isinstance(reset, Identity)
    assert (reset.standing, reset.head, reset.applied) == ("joining", 40, 40)
    assert reset.incarnation != before.incarnation
    row = Row(b"i/b", 33, b"kept", record_mac(key, b"i/b", 33, b"kept"))
    assert await keeper.ask(PutRows([row], keeper.epoch)) == Done()
    forged = await keeper.ask(PutRows([Row(b"i/c", 33, b"forged", row.mac)], keeper.epoch))
    assert isinstance(forged, Refusal)
    await keeper.ask(AdoptBegin(keeper.epoch, 40, b"h" * 32))
    keeper.head, keeper.head_hash = 40, b"h" * 32
    _, raw = keeper.seal([RecordOp(b"i/d", 0, b"tail")])
    await keeper.ask(AdoptPart(), raw)
    await keeper.ask(AdoptEnd(41, keeper.head_hash))
    assert isinstance(await keeper.ask(Admit(before.incarnation, keeper.epoch)), Refusal)
    admitted = await keeper.ask(Admit(reset.incarnation, keeper.epoch))
    assert isinstance(admitted, Identity)
    assert (admitted.standing, admitted.floor, admitted.head) == ("voter", 40, 41)
    assert await rows_of(keeper, b"i/a", b"i/b", b"i/c", b"i/d") == {b"i/b": b"kept", b"i/d": b"tail"}


async def test_a_trimmed_journal_still_starts(keeper: Keeper) -> None:
    for number in range(5):
        await keeper.append([RecordOp(b"i/%d" % number, 0, b"x")], sync=True)
    await keeper.heartbeat(5)
    await keeper.ask(Digest(5))
    trimmed = await keeper.ask(Trim(3))
    assert isinstance(trimmed, Identity)
    assert (trimmed.floor, trimmed.head) == (3, 5)
    keeper.server.kill()
    keeper.server.start()
    again = await Keeper.connect(keeper.server)
    identity = await again.identity()
    assert (identity.standing, identity.floor, identity.head) == ("voter", 3, 5)
    assert len(await rows_of(again, *(b"i/%d" % number for number in range(5)))) == 5
    assert isinstance(await again.ask(ReadLog(3, 1000)), Refusal)
    await again.link.close()


async def test_blobs_are_read_listed_scrubbed_and_deleted(keeper: Keeper) -> None:
    blobs = {name: random_blob(size) for name, size in ((1, 1), (2, 16384), (3, 70_000), (4, 1 << 20))}
    for name, data in blobs.items():
        assert await keeper.put_blob(name, data) == Done()
    assert await keeper.ask(SyncBlobs()) == Done()
    for name, data in blobs.items():
        found, body = await keeper.link.request(GetBlob(name, len(data) - 1, 1), timeout_s=10)
        assert isinstance(found, BlobData)
        assert found.start == (len(data) - 1) // 16384 * 16384
        assert is_intact(BlobRef(name, len(data), root_for(data)), found.hashes, found.start, body)
        assert body == data[found.start :]
    listed = await keeper.ask(ListBlobs(1, 2))
    assert listed == BlobNames([(name, len(blobs[name]), root_for(blobs[name])) for name in (2, 3)], True)
    assert await keeper.ask(ScrubBlobs(0, 1 << 30)) == Scrubbed(4, False, sum(map(len, blobs.values())), [])
    assert await keeper.ask(DeleteBlobs([2, 4, 99])) == Done()
    keeper.server.kill()
    keeper.server.start()
    again = await Keeper.connect(keeper.server)
    listed = await again.ask(ListBlobs(0, 100))
    assert isinstance(listed, BlobNames)
    assert [name for name, _, _ in listed.blobs] == [1, 3]
    assert await again.ask(GetBlob(2, 0, 1)) == BlobData(False, 0, 0, b"")
    await again.link.close()


async def test_rows_are_listed_by_bucket_and_in_pages(keeper: Keeper) -> None:
    keys = sorted(b"i/%05d" % number for number in range(600))
    await keeper.append([RecordOp(key, 0, b"v") for key in keys], sync=True)
    await keeper.heartbeat(1)
    await keeper.ask(Digest(1))
    seen: list[bytes] = []
    more = True
    while more:
        rows = await keeper.ask(ListRecords(-1, seen[-1] if seen else b"", 250))
        assert isinstance(rows, Rows)
        seen += [row.key for row in rows.rows]
        more = rows.more
    assert seen == keys
    bucket = bucket_of(keys[0])
    rows = await keeper.ask(ListRecords(bucket, b"", 250))
    assert isinstance(rows, Rows)
    assert [row.key for row in rows.rows] == [key for key in keys if bucket_of(key) == bucket]


async def test_the_second_server_of_a_bank_keeps_blobs_until_it_is_assigned(server: BankProcess) -> None:
    second = BankProcess(server.state, server.port + 1)
    second.start()
    try:
        keeper = await Keeper.connect(second)
        assert (await keeper.identity()).standing == "blobs"
        assert isinstance(await keeper.ask(Prepare(keeper.epoch)), Refusal)
        assert await keeper.put_blob(1, b"data") == Done()
        assigned = await keeper.ask(Assign(True))
        assert isinstance(assigned, Identity)
        assert assigned.standing == "empty"
        await keeper.form()
        assert isinstance(await keeper.append([RecordOp(b"i/a", 0, b"one")], sync=True), Appended)
        await keeper.link.close()
    finally:
        second.end()


async def test_the_unix_socket_is_its_owners_and_outlives_a_kill(keeper: Keeper) -> None:
    server = keeper.server
    assert isinstance(server, BankProcess)
    path = server.own / "link.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"POST /RPC2 HTTP/1.1\r\n\r\n")
    assert await asyncio.wait_for(reader.read(), DEADLINE_S) == b"", "the XML-RPC door is on the port alone"
    writer.close()
    server.kill()
    assert path.is_socket()
    server.start()
    link = await Link.connect(path, server.key, timeout_s=DEADLINE_S)
    identity, _ = await link.request(Hello("journal"), timeout_s=DEADLINE_S)
    assert isinstance(identity, Identity)
    await link.close()
    assert server.stop() == 0
    assert not path.exists()
