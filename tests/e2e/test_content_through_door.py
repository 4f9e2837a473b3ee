"""Every kind of file through the real door: whole, cut, flipped, mislabelled; and opened after download."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import made_files
from door_in_memory import door_in_memory
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.file_check import check_file

KINDS = pytest.mark.parametrize("kind", made_files.KINDS)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of a drive whose folders `refuse` and `flag` have those rules."""
    place = tmp_path_factory.mktemp("door") / "state"
    with (
        door_in_memory(place, no_auth_user="me") as door,
        httpx2.Client(base_url=f"{door.url}/api/v1", timeout=60) as made,
    ):
        for rule in ("refuse", "flag"):
            folder = made.post("/folders", json={"path": rule}).json()["id"]
            assert made.patch(f"/files/{folder}", json={"validate": rule}).status_code == 200
        yield made


def _put(client: httpx2.Client, path: str, content: bytes) -> httpx2.Response:
    return client.put(f"/content/{path}", content=content)


def _names(client: httpx2.Client, folder: str) -> set[str]:
    found = client.get(f"/paths/{folder}").json()["id"]
    return {one["name"] for one in client.get(f"/folders/{found}/children").json()["files"]}


@KINDS
async def test_whole_files_open_after_download(client: httpx2.Client, kind: str, tmp_path: Path) -> None:
    sent = made_files.whole(kind)
    assert _put(client, f"refuse/whole.{kind}", sent).status_code == 201
    got = client.get(f"/content/refuse/whole.{kind}").content
    assert got == sent
    path = tmp_path / f"whole.{kind}"
    path.write_bytes(got)
    async with DecodingPool(1) as pool:
        assert (await check_file(path, pool)).outcome == "OK"


@KINDS
def test_cut_files_are_refused_and_never_seen(client: httpx2.Client, kind: str) -> None:
    cut = made_files.whole(kind)[: len(made_files.whole(kind)) * 2 // 3]
    answer = _put(client, f"refuse/cut.{kind}", cut)
    assert (answer.status_code, answer.json()["code"]) == (422, "corrupt_content")
    assert f"cut.{kind}" not in _names(client, "refuse")


@KINDS
def test_cut_files_are_kept_and_marked_where_that_is_the_rule(client: httpx2.Client, kind: str) -> None:
    cut = made_files.whole(kind)[: len(made_files.whole(kind)) * 2 // 3]
    answer = _put(client, f"flag/cut.{kind}", cut)
    assert answer.status_code == 201
    assert answer.json()["fault"]


@KINDS
def test_flipped_bits_fail_the_checksum_that_was_announced(client: httpx2.Client, kind: str) -> None:
    content = made_files.whole(kind)
    flipped = made_files.flipped(content, len(content) // 2)
    plan = {
        "path": f"flag/flipped.{kind}",
        "size": len(content),
        "checksums": {"sha256": hashlib.sha256(content).hexdigest()},
    }
    place = client.post("/transfers", json=plan).json()["key"]
    answer = client.put(
        f"/transfers/{place}",
        content=flipped,
        headers={"content-range": f"bytes 0-{len(content) - 1}/{len(content)}"},
    )
    assert answer.status_code == 422
    assert f"flipped.{kind}" not in _names(client, "flag")


@KINDS
def test_mislabelled_files_are_refused_with_a_better_name(client: httpx2.Client, kind: str) -> None:
    other = "pdf" if kind != "pdf" else "png"
    answer = _put(client, f"refuse/lie {kind}.{other}", made_files.whole(kind))
    told = answer.json()
    better = "zip" if kind in ("docx", "xlsx") else kind
    assert (answer.status_code, told["suggested_name"]) == (415, f"lie {kind}.{better}")
    assert (told["declared"], told["detected"]) == (f".{other}", made_files.MIMES[better])
    assert f"lie {kind}.{other}" not in _names(client, "refuse")
