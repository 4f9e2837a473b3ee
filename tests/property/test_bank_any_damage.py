"""Whatever the files of a server hold, it starts and answers: as suspect, empty or lossy, but it never dies.

Rule: what it then says is right, or tells by its MAC or hash that it is wrong.
"""

import asyncio
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bank_in_process import BankInProcess
from bank_process import Keeper, root_for
from trivet.wire.bank_messages import (
    BlobData,
    BlobNames,
    DeleteRows,
    Digest,
    Digests,
    GetBlob,
    GetRecords,
    ListBlobs,
    ListRecords,
    PutRows,
    Rows,
    ScrubBlobs,
    Stat,
)
from trivet.wire.blobs import BlobRef, is_intact
from trivet.wire.entries import Epoch, RecordOp
from trivet.wire.journal_messages import Identity, Prepare, ReadLog, Refusal, Reset, Trim
from trivet.wire.records import Row, record_mac, row_is_valid

ENTRIES = 120
KEYS = [b"i/%08d" % number for number in range(ENTRIES)] + [b"d/%08d" % number for number in range(ENTRIES)]
BLOBS = {number: random.Random(number).randbytes(900 * number) for number in range(1, 30)}
Files = dict[str, bytes]
Chance = random.Random


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[Files]:
    """What the files of a server hold that was killed, and of one that stopped cleanly."""
    return asyncio.run(fill(tmp_path_factory.mktemp("whole")))


async def fill(state: Path) -> list[Files]:
    """Give a server something of everything; return its files before and after it stopped."""
    bank = BankInProcess(state)
    await bank.open()
    keeper = Keeper(bank, bank, Epoch(1, 1))
    await keeper.form()
    for number in range(ENTRIES):
        ops = [RecordOp(key, 0, value_of(key)) for key in (KEYS[number], KEYS[ENTRIES + number])]
        await keeper.append(ops, sync=number == ENTRIES // 2, durable=max(0, number - 20))
        if number == ENTRIES // 3:
            await keeper.ask(Digest(10))
            await keeper.ask(Trim(10))
    for name, data in BLOBS.items():
        await keeper.put_blob(name, data)
    bank.place.foreign.put(b"/by hand", b"foreign" * 500, 1000)
    killed = files_in(bank.own)
    await bank.stop()
    return [killed, files_in(bank.own)]


def files_in(folder: Path) -> Files:
    """Return what is in the files, of the journal's without the room ahead."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        name: body.rstrip(b"\0") if name.endswith(".log") else body
        for name, body in files.items()
        if name != "journal/spare"
    }


def value_of(key: bytes) -> bytes:
    return key * (30 if key[-1] % 4 else 410)  # some take pages of their own, as pages of files do


def flipped(chance: Chance, body: bytes) -> bytes:
    """Turn bits over, few or many, near each other or all over the part that holds something."""
    data = bytearray(body)
    used = len(body.rstrip(b"\0"))
    first = chance.randrange(used)
    last = min(used, first + chance.choice([1, 100, 5000, used]))
    for _ in range(chance.choice([1, 10, 100])):
        data[chance.randrange(first, last)] ^= chance.randrange(1, 256)
    return bytes(data)


def strewn(chance: Chance, body: bytes) -> bytes:
    """Turn bits over at even distances, all over the part that holds something."""
    data = bytearray(body)
    used = len(body.rstrip(b"\0"))
    step = chance.randrange(1, 2 + used // 10)
    for at in range(chance.randrange(used), used, step):
        data[at] ^= 0x5A
    return bytes(data)


def longer(chance: Chance, body: bytes) -> bytes:
    return body + chance.randbytes(chance.choice([1, 4096, 70_000]))


DAMAGES: list[Callable[[Chance, bytes], bytes | None]] = [
    flipped,
    flipped,
    strewn,
    longer,
    lambda chance, body: body[: chance.randrange(len(body))],
    lambda chance, body: chance.randbytes(min(len(body), 1 << 18)),
    lambda chance, body: bytes(len(body)),
    lambda chance, body: body[len(body) // 2 :] + body[: len(body) // 2],
    lambda chance, body: b"",
    lambda chance, body: None,
]


def damaged(whole: Files, chance: Chance) -> Files:
    """Return the files with one, some or all of them damaged in one way each, or exchanged."""
    files = dict(whole)
    names = [name for name in files if files[name]]
    damages = DAMAGES if chance.random() < 0.7 else [chance.choice(DAMAGES)]
    for name in chance.sample(names, chance.choice([1, 1, 2, len(names)])):
        body = chance.choice(damages)(chance, files[name])
        if body is None:
            del files[name]
        else:
            files[name] = body
    if chance.random() < 0.1 and len(files) > 1:
        one, other = chance.sample(sorted(files), 2)
        files[one], files[other] = files[other], files[one]
    return files


@pytest.mark.parametrize("seed", range(24))
async def test_server_with_damaged_files_answers(ends: list[Files], tmp_path: Path, seed: int) -> None:
    for number in range(int(os.environ.get("TRIVET_DAMAGES", "3"))):
        chance = Chance(seed * 1_000_003 + number)
        bank = BankInProcess(tmp_path / "state")
        bank.own.mkdir(parents=True)
        for name, body in damaged(chance.choice(ends), chance).items():
            (bank.own / name).parent.mkdir(exist_ok=True)
            (bank.own / name).write_bytes(body)
        await bank.open()
        await ask_everything(bank)
        assert bank.failures == [], f"seed {seed}, number {number}"
        await bank.stop()
        await bank.open()
        assert bank.failures == [], f"seed {seed}, number {number}, the second start"
        await bank.crash()
        shutil.rmtree(tmp_path / "state")


async def ask_everything(bank: BankInProcess) -> None:
    """Ask what a keeper asks of a server that has come back, and repair it; wrong answers fail the test."""
    keeper = Keeper(bank, bank, Epoch(2, 2))
    identity = await keeper.ask(Prepare(keeper.epoch))
    assert isinstance(identity, Identity)
    assert identity.standing in ("voter", "suspect", "empty")
    bank.place.foreign.get(b"/by hand")
    bank.place.foreign.entries(10)
    assert not isinstance(await keeper.ask(Stat()), Refusal)
    if identity.head > identity.floor:
        assert not isinstance(await keeper.ask(ReadLog(identity.floor + 1, 1 << 20)), Refusal)
    if identity.standing == "empty":
        await keeper.ask(Reset(keeper.epoch, 0))
    check_rows(bank, await keeper.ask(GetRecords(KEYS)))
    await keeper.ask(Digest(0))
    for bucket in (-1, 3, 77):
        await list_rows(bank, keeper, bucket)
    good = [Row(key, 1000, value_of(key), record_mac(bank.key, key, 1000, value_of(key))) for key in KEYS]
    await keeper.ask(DeleteRows([(KEYS[0], 1)], keeper.epoch))
    assert not isinstance(await keeper.ask(PutRows(good, keeper.epoch)), Refusal)
    await keeper.ask(Digest(0))
    digests = await keeper.ask(Digest(0))
    assert isinstance(digests, Digests)
    rows = await keeper.ask(GetRecords(KEYS))
    assert isinstance(rows, Rows)
    assert {row.key: row.value for row in rows.rows} == {key: value_of(key) for key in KEYS}
    await check_blobs(keeper)


def check_rows(bank: BankInProcess, answer: object) -> None:
    assert isinstance(answer, Rows)
    assert all(row.value == value_of(row.key) for row in answer.rows if row_is_valid(bank.key, row))


async def list_rows(bank: BankInProcess, keeper: Keeper, bucket: int) -> None:
    """List as a keeper does, which must come to an end."""
    after = b""
    for _ in range(50):
        answer = await keeper.ask(ListRecords(bucket, after, 7 if bucket >= 0 else 100))
        check_rows(bank, answer)
        assert isinstance(answer, Rows)
        if not answer.more:
            return
        after = answer.rows[-1].key
    raise AssertionError("a listing never ends")


async def check_blobs(keeper: Keeper) -> None:
    """Read every blob: right, or told to be wrong; then write it anew."""
    assert isinstance(await keeper.ask(ListBlobs(0, 100)), BlobNames)
    await keeper.ask(ScrubBlobs(0, 1 << 30))
    for name, data in BLOBS.items():
        ref = BlobRef(name, len(data), root_for(data))
        found, body = await keeper.link.request(GetBlob(name, 0, len(data)), timeout_s=10)
        assert isinstance(found, BlobData)
        if found.found and len(body) == len(data) and is_intact(ref, found.hashes, 0, body):
            assert bytes(body) == data
        assert not isinstance(await keeper.put_blob(name, data, replace=True), Refusal)
        assert bytes((await keeper.link.request(GetBlob(name, 0, len(data)), timeout_s=10))[1]) == data
