"""Decoding in children: every kind whole, cut, flipped; bombs; children that hang or die."""

import asyncio
import io
import os
import random
import zipfile
from pathlib import Path

import psutil
import pytest
from PIL import Image

import made_files
from trivet.drive.validation.kinds import kind_of_name
from trivet.errors import CorruptContent, UnsupportedType
from trivet.gateway.content_check import ContentCheck
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.file_check import check_file


async def _outcome(path: Path, content: bytes, pool: DecodingPool) -> tuple[str, str]:
    await asyncio.to_thread(path.write_bytes, content)
    verdict = await check_file(path, pool)
    return verdict.outcome, verdict.reason


@pytest.mark.parametrize("kind", made_files.KINDS)
async def test_whole_files_open_and_cut_ones_do_not(kind: str, tmp_path: Path) -> None:
    content, path = made_files.whole(kind), tmp_path / f"a.{kind}"
    async with DecodingPool(2) as pool:
        assert await _outcome(path, content, pool) == ("OK", "")
        for length in (20, len(content) // 2, len(content) * 9 // 10, len(content) - 12):
            outcome, reason = await _outcome(path, content[:length], pool)
            assert outcome == "ERROR", f"cut to {length} of {len(content)}"
            assert reason


@pytest.mark.parametrize("kind", made_files.PROVES_ITSELF)
async def test_flipped_bits_in_the_body_are_found(kind: str, tmp_path: Path) -> None:
    content, path = made_files.whole(kind), tmp_path / f"a.{kind}"
    rng = random.Random(kind)
    async with DecodingPool(2) as pool:
        found = 0
        for _ in range(20):
            flipped = made_files.flipped(content, rng.randrange(len(content) // 10, len(content) * 9 // 10))
            found += (await _outcome(path, flipped, pool))[0] == "ERROR"
    assert found >= 18, "a time stamp of an archive may be wrong without anybody noticing"


async def test_what_is_inside_a_zip_must_fit_its_name(tmp_path: Path) -> None:
    async with DecodingPool(1) as pool:
        assert await _outcome(tmp_path / "a.xlsx", made_files.whole("docx"), pool) == (
            "ERROR",
            "it is no XLSX, but DOCX",
        )
        assert (await _outcome(tmp_path / "a.docx", made_files.whole("zip"), pool))[0] == "ERROR"
        assert (await _outcome(tmp_path / "a.zip", made_files.whole("docx"), pool))[0] == "OK"


def _zip_bomb() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(200 << 20))
    return made.getvalue()


def _pixel_bomb() -> bytes:
    made = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(made, "png")
    return made.getvalue()


@pytest.mark.parametrize(("name", "make"), [("a.zip", _zip_bomb), ("a.png", _pixel_bomb)])
async def test_bombs_are_refused(name: str, make: object, tmp_path: Path) -> None:
    assert callable(make)
    async with DecodingPool(1) as pool:
        outcome, reason = await _outcome(tmp_path / name, make(), pool)
    assert outcome == "ERROR"
    assert "bomb" in reason


async def test_a_file_that_takes_too_long_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    fifo = tmp_path / "b.zip"
    path.write_bytes(made_files.whole("zip"))
    os.mkfifo(fifo)  # opening it hangs for ever
    async with DecodingPool(1, deadline_s=3.0) as pool:
        assert "within 3 s" in str(await pool.fault(fifo, kind_of_name("b.zip")))
        assert await pool.fault(path, kind_of_name("a.zip")) is None


async def test_a_child_that_dies_is_replaced_and_none_is_left(tmp_path: Path) -> None:
    path, fifo = tmp_path / "a.zip", tmp_path / "b.zip"
    path.write_bytes(made_files.whole("zip"))
    os.mkfifo(fifo)
    async with DecodingPool(1) as pool:
        asking = asyncio.create_task(pool.fault(fifo, kind_of_name("b.zip")))
        child = await _decoding_child()
        child.kill()
        assert await asking == "its decoder died of it"
        assert await pool.fault(path, kind_of_name("a.zip")) is None
    assert not [one for one in psutil.Process().children(recursive=True) if _decodes(one)]


async def _decoding_child() -> psutil.Process:
    async with asyncio.timeout(20):
        while True:
            for one in psutil.Process().children(recursive=True):
                if _decodes(one):
                    return one
            await asyncio.sleep(0.01)


def _decodes(process: psutil.Process) -> bool:
    try:
        return "trivet.gateway.decoding.child" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


async def _checked(name: str, content: bytes, tmp_path: Path, rule: str) -> str | None:
    async with DecodingPool(1) as pool:
        check = ContentCheck(name, None, len(content), None, rule=rule, pool=pool, spool=tmp_path)  # type: ignore[arg-type]
        try:
            for at in range(0, len(content), 100_000):
                await check.feed(content[at : at + 100_000])
            return (await check.finish()).fault
        finally:
            check.close()
            assert not os.listdir(tmp_path)


async def test_content_through_the_door_is_refused_flagged_or_let_be(tmp_path: Path) -> None:
    whole, cut = made_files.whole("jpg"), made_files.whole("jpg")[:-3000]
    assert await _checked("a.jpg", whole, tmp_path, "refuse") is None
    with pytest.raises(CorruptContent, match=r"a\.jpg is damaged: it does not decode"):
        await _checked("a.jpg", cut, tmp_path, "refuse")
    assert "a.jpg is damaged" in str(await _checked("a.jpg", cut, tmp_path, "flag"))
    assert await _checked("a.jpg", cut, tmp_path, "off") is None
    with pytest.raises(UnsupportedType):
        await _checked("a.pdf", whole, tmp_path, "refuse")
