"""Downloads as transfers: what is checked on the way out, what a cut leaves, how another request goes on."""

import asyncio
import contextlib
import hashlib
import io
import json
import os
import random
import socket
import time
import zipfile
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx2
import pytest

import made_files
from door_in_memory import DoorInMemory, door_in_memory
from trivet.gateway import bodies
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller

KINDS = pytest.mark.parametrize("kind", made_files.KINDS)
BIG = random.Random(5).randbytes(12 << 20)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorInMemory]:
    with door_in_memory(tmp_path_factory.mktemp("out") / "state", no_auth_user="me") as opened:
        yield opened


@pytest.fixture(scope="module")
def client(door: DoorInMemory) -> Iterator[httpx2.Client]:
    """A client of a drive whose folders `refuse`, `flag` and `off` have those rules."""
    with httpx2.Client(base_url=f"{door.url}/api/v1", timeout=60) as made:
        for rule in ("refuse", "flag", "off"):
            folder = made.post("/folders", json={"path": rule}).json()["id"]
            assert made.patch(f"/files/{folder}", json={"validate": rule}).status_code == 200
        yield made


def done(door: DoorInMemory, work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run_coroutine_threadsafe(work, door.loop).result(60)


def write_beside(door: DoorInMemory, folder: str, name: str, content: bytes) -> None:
    """Write a file as the mount would: nobody checks it on the way in."""

    async def write() -> None:
        volume = door.drive.volume
        parent = await volume.lookup(ROOT_INO, folder.encode())
        _, handle = await volume.create(parent.ino, name.encode(), 0o644, Caller(0, 0))
        for at in range(0, len(content), 1 << 20):
            await volume.write(handle, at, content[at : at + (1 << 20)])
        await volume.release(handle)

    done(door, write())


@KINDS
def test_whole_files_leave_wherever_they_came_from(
    door: DoorInMemory, client: httpx2.Client, kind: str
) -> None:
    for folder in ("refuse", "flag", "off"):
        write_beside(door, folder, f"whole.{kind}", made_files.whole(kind))
        answer = client.get(f"/content/{folder}/whole.{kind}")
        assert (answer.status_code, answer.content) == (200, made_files.whole(kind))
        assert "x-trivet-fault" not in answer.headers


@KINDS
def test_cut_files_do_not_leave(door: DoorInMemory, client: httpx2.Client, kind: str) -> None:
    cut = made_files.whole(kind)[: len(made_files.whole(kind)) * 2 // 3]
    for folder in ("refuse", "flag", "off"):
        write_beside(door, folder, f"cut.{kind}", cut)
    for _ in range(2):
        refused = client.get(f"/content/refuse/cut.{kind}")
        assert (refused.status_code, refused.json()["code"]) == (422, "corrupt_content")
        flagged = client.get(f"/content/flag/cut.{kind}")
        assert (flagged.status_code, flagged.content) == (200, cut)
        assert flagged.headers["x-trivet-fault"]
    assert client.get(f"/content/refuse/cut.{kind}", headers={"Range": "bytes=0-9"}).status_code == 422
    assert "x-trivet-fault" not in client.get(f"/content/off/cut.{kind}").headers


@pytest.mark.parametrize("kind", made_files.PROVES_ITSELF)
def test_flipped_files_do_not_leave(door: DoorInMemory, client: httpx2.Client, kind: str) -> None:
    content = made_files.whole(kind)
    write_beside(door, "refuse", f"flipped.{kind}", made_files.flipped(content, len(content) // 2))
    assert client.get(f"/content/refuse/flipped.{kind}").status_code == 422


@KINDS
def test_mislabelled_files_do_not_leave(door: DoorInMemory, client: httpx2.Client, kind: str) -> None:
    other = "pdf" if kind != "pdf" else "png"
    write_beside(door, "refuse", f"lie {kind}.{other}", made_files.whole(kind))
    answer = client.get(f"/content/refuse/lie {kind}.{other}")
    told = answer.json()
    better = "zip" if kind in ("docx", "xlsx") else kind
    assert (answer.status_code, told["suggested_name"]) == (415, f"lie {kind}.{better}")
    assert (told["declared"], told["detected"]) == (f".{other}", made_files.MIMES[better])
    file_id = client.get(f"/paths/refuse/lie {kind}.{other}").json()["id"]
    answer = client.get(f"{door.url}/drive/v3/files/{file_id}?alt=media")
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (400, "badRequest")


def test_what_was_flagged_does_not_leave_once_the_rule_is_to_refuse(client: httpx2.Client) -> None:
    folder = client.post("/folders", json={"path": "stricter"}).json()["id"]
    cut = made_files.whole("png")[:-100]
    made = client.put("/content/stricter/a.png", content=cut).json()
    for _ in range(2):
        assert client.get(f"/files/{made['id']}/content").headers["x-trivet-fault"]
    assert client.patch(f"/files/{folder}", json={"validate": "refuse"}).status_code == 200
    assert client.get(f"/files/{made['id']}/content").status_code == 422


def _big_zip(break_it: bool) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("noise"), BIG[: 3 << 20])  # of a fixed date
    whole = made.getvalue()
    return made_files.flipped(whole, 1 << 20) if break_it else whole


def test_a_bad_download_ends_before_its_last_byte(door: DoorInMemory, client: httpx2.Client) -> None:
    bad = _big_zip(break_it=True)
    write_beside(door, "refuse", "good.zip", _big_zip(break_it=False))
    write_beside(door, "refuse", "bad.zip", bad)
    assert client.get("/content/refuse/good.zip").content == _big_zip(break_it=False)
    got = b""
    with client.stream("GET", "/content/refuse/bad.zip") as answer:
        assert answer.status_code == 200
        with contextlib.suppress(httpx2.RemoteProtocolError):
            for piece in answer.iter_raw():
                got += piece
    assert 0 < len(got) < len(bad)
    assert client.get("/content/refuse/bad.zip").status_code == 422, "it is known by now"


def test_bytes_changed_behind_their_checksum_are_noticed_once(
    door: DoorInMemory, client: httpx2.Client
) -> None:
    """Content changed in place with size and mtime kept: the old checksum must not be told of it."""

    async def change(ino: int, at: int) -> None:
        volume = door.drive.volume
        before = await volume.getattr(ino)
        handle = await volume.open(ino, writing=True, truncate=False, sync=False)
        await volume.write(handle, at, b"\0")
        await volume.release(handle)
        await volume.setattr(ino, AttributeChanges(mtime_ns=before.mtime_ns))

    small = client.put("/content/flag/small.bin", content=b"\1" * 5000).json()
    done(door, change(int(small["id"]), 7))
    answer = client.get(f"/files/{small['id']}/content")
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    big = client.put("/content/flag/stale.bin", content=BIG[: 3 << 20]).json()
    done(door, change(int(big["id"]), 1 << 20))
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(f"/files/{big['id']}/content")
    answer = client.get(f"/files/{big['id']}/content")
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()


def test_a_body_that_stalls_is_408_and_the_upload_parked(
    door: DoorInMemory, client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "IDLE_S", 0.3)
    where = client.post("/transfers", json={"path": "/slow.bin", "size": 1000}).json()["location"]
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as link:
        head = f"PUT {where} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        link.sendall(head.encode() + b"x" * 400)
        answer = b"".join(iter(lambda: link.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"request_timeout" in answer
    told = client.get(where.removeprefix("/api/v1")).json()
    assert (told["state"], told["offset"]) == ("parked", 400)


def told(client: httpx2.Client, key: str) -> dict[str, Any]:
    answer = client.get(f"/transfers/{key}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until(client: httpx2.Client, key: str, is_right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    end = time.monotonic() + 20
    while not is_right(found := told(client, key)):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def cut_download(client: httpx2.Client, where: str, size: int) -> tuple[bytes, str]:
    """Read about `size` bytes of a download and go away; return them and the key it had."""
    with httpx2.Client(base_url=client.base_url, timeout=60) as other, other.stream("GET", where) as answer:
        got = b""
        for piece in answer.iter_raw():
            got += piece
            if len(got) >= size:
                break
        return got, answer.headers["x-trivet-transfer"]


def test_a_cut_download_is_parked_and_goes_on_elsewhere(client: httpx2.Client) -> None:
    client.put("/content/big.bin", content=BIG)
    got, key = cut_download(client, "/content/big.bin", 1 << 20)
    parked = until(client, key, lambda one: one["state"] == "parked")
    assert (parked["resumable"], parked["offset"] < len(BIG)) == (True, True)
    assert parked["error"]
    assert key in [one["key"] for one in client.get("/transfers").json()["transfers"]]
    client.put("/content/big.bin", content=b"another version")
    held = {"offset": len(got), "sha256": hashlib.sha256(got).hexdigest()}
    ready = client.post(f"/transfers/{key}/resume", json=held).json()
    assert ready["offset"] == len(got)
    rest = client.get(f"/transfers/{key}/content", headers={"Range": f"bytes={len(got)}-"})
    assert (rest.status_code, got + rest.content) == (206, BIG)
    assert until(client, key, lambda one: one["state"] == "committed")["offset"] == len(BIG)


def test_a_client_that_holds_something_else_begins_again(client: httpx2.Client) -> None:
    client.put("/content/again.bin", content=BIG)
    asked = {"direction": "download", "path": "/again.bin"}
    made = client.post("/transfers", json=asked)
    key = made.json()["key"]
    assert (made.status_code, made.json()["state"], made.json()["size"]) == (201, "waiting", len(BIG))
    wrong = client.post(f"/transfers/{key}/resume", json={"offset": 1000, "sha256": "0" * 64}).json()
    assert (wrong["offset"], wrong["state"]) == (0, "parked")
    too_long = {"offset": len(BIG) + 1, "sha256": "0" * 64}
    assert client.post(f"/transfers/{key}/resume", json=too_long).status_code == 400
    assert client.get(made.json()["location"].removeprefix("/api/v1")).content == BIG
    assert client.delete(f"/transfers/{key}").status_code == 204
    assert client.get(f"/transfers/{key}").status_code == 404


def test_small_downloads_cost_no_row(door: DoorInMemory, client: httpx2.Client) -> None:
    client.put("/content/tiny.bin", content=b"x" * 300_000)
    before = done(door, door.drive.door.rows("SELECT count(*) FROM downloads"))
    assert client.get("/content/tiny.bin").content == b"x" * 300_000
    assert done(door, door.drive.door.rows("SELECT count(*) FROM downloads")) == before


def test_waypoints_of_transfers_are_runs(door: DoorInMemory, client: httpx2.Client) -> None:
    answer = client.put("/content/way.bin", content=os.urandom(300_000))
    up = answer.headers["x-request-id"]
    down = client.get("/content/way.bin").headers["x-request-id"]
    failed = client.put("/content/refuse/way.png", content=b"no image").headers["x-request-id"]
    events: dict[str, list[str]] = {}
    end, wanted = time.monotonic() + 20, [up, down, failed]
    from trivet.monitor.runs.tail import Tail

    tail = Tail(door.drive.folder / "runs", create=False)
    while not all(events.get(run) for run in wanted):
        assert time.monotonic() < end, events
        events = {run: [] for run in wanted}
        errors = {}
        for event in tail.events():
            if event.run in events:
                events[event.run].append(event.name)
                errors[event.run] = json.loads(event.dimensions).get("error")
    tail.close()
    whole = ["request", "queue_start", "queue_end", "transfer_start", "transfer_end", "verify_start"]
    assert events[up] == events[down] == [*whole, "verify_end", "publish"]
    assert "publish" not in events[failed]
    assert errors[failed] in ("corrupt_content", "unsupported_type")
