"""The traps real clients fell into, over raw HTTP: each has a test of its name."""

import hashlib
import os
from collections.abc import Iterator

import pytest

from door_under_test import UNIT, Door

DATA = os.urandom(2 * UNIT + 1000)


@pytest.fixture
def folder(door: Door, request: pytest.FixtureRequest) -> str:
    """A folder for one test."""
    return door.folder(request.node.name)


def in_chunks(data: bytes, size: int = 10_000) -> Iterator[bytes]:
    """Yield `data` in pieces, so that it is sent without a Content-Length."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def chunk(
    door: Door, where: str, start: int, stop: int, total: int | str, **more: object
) -> tuple[int, str | None]:
    """Send one chunk of DATA; return the status and the Range header."""
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{total}"}
    answer = door.http.put(where, content=DATA[start:stop], headers=headers)
    return answer.status_code, answer.headers.get("range")


def test_multipart_body_without_content_length(door: Door, folder: str) -> None:
    metadata = b'{"name":"m","parents":["' + folder.encode() + b'"]}'
    body = b"--x y\r\nContent-Type: application/json\r\n\r\n" + metadata
    body += b"\r\n--x y\r\nContent-Type: text/plain\r\n\r\n" + DATA + b"\r\n--x y--\r\n"
    headers = {"Content-Type": 'multipart/related; boundary="x y"'}
    path = "/upload/drive/v3/files?uploadType=multipart&fields=id,sha256Checksum"
    made = door.told("POST", path, content=in_chunks(body), headers=headers)
    assert made["sha256Checksum"] == hashlib.sha256(DATA).hexdigest()


def test_chunk_body_without_content_length(door: Door, folder: str) -> None:
    where = door.begin("c", folder)
    headers = {"Content-Range": f"bytes 0-{UNIT - 1}/*"}
    answer = door.http.put(where, content=in_chunks(DATA[:UNIT]), headers=headers)
    assert (answer.status_code, answer.headers["range"]) == (308, f"bytes=0-{UNIT - 1}")


def test_chunk_is_taken_whole_for_clients_that_ignore_the_range_of_308(door: Door, folder: str) -> None:
    where = door.begin("i", folder)
    for at in range(0, 2 * UNIT, UNIT):
        assert chunk(door, where, at, at + UNIT, "*") == (308, f"bytes=0-{at + UNIT - 1}")
    answer = door.http.put(
        where + "&fields=md5Checksum", content=DATA[2 * UNIT :],
        headers={"Content-Range": f"bytes {2 * UNIT}-{len(DATA) - 1}/{len(DATA)}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()) == (200, {"md5Checksum": hashlib.md5(DATA).hexdigest()})


def test_chunk_below_what_is_held_skips_the_known_prefix(door: Door, folder: str) -> None:
    where = door.begin("s", folder)
    chunk(door, where, 0, UNIT, len(DATA))
    assert chunk(door, where, 0, 2 * UNIT, len(DATA)) == (308, f"bytes=0-{2 * UNIT - 1}")
    assert chunk(door, where, 0, UNIT, len(DATA)) == (308, f"bytes=0-{2 * UNIT - 1}")
    status, _ = chunk(door, where, UNIT, len(DATA), len(DATA))
    assert status == 200
    (found,) = door.told("GET", "/drive/v3/files", params={"q": f"'{folder}' in parents"})["files"]
    assert door.content(found["id"]) == DATA


def test_chunk_above_what_is_held_writes_nothing(door: Door, folder: str) -> None:
    where = door.begin("g", folder)
    assert chunk(door, where, UNIT, 2 * UNIT, "*") == (308, None)
    chunk(door, where, 0, UNIT, "*")
    assert chunk(door, where, 2 * UNIT, len(DATA), len(DATA)) == (308, f"bytes=0-{UNIT - 1}")
    assert door.names(folder) == []


def test_empty_file_is_an_empty_put_without_content_range(door: Door, folder: str) -> None:
    where = door.begin("e", folder, **{"X-Upload-Content-Length": "0"})
    answer = door.http.put(where, content=b"")
    assert answer.status_code == 200
    assert answer.json()["name"] == "e"


def test_empty_download_asks_for_a_range_and_gets_416(door: Door, folder: str) -> None:
    made = door.put("e", b"", folder)
    answer = door.http.get(f"/drive/v3/files/{made['id']}?alt=media", headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")
    assert answer.json()["error"]["errors"][0]["reason"] == "requestedRangeNotSatisfiable"


def test_post_to_the_session_is_a_chunk_too(door: Door, folder: str) -> None:
    where = door.begin("p", folder)
    answer = door.http.post(where, content=DATA[:UNIT], headers={"Content-Range": f"bytes 0-{UNIT - 1}/*"})
    assert answer.status_code == 308


def test_query_tells_how_far_it_is(door: Door, folder: str) -> None:
    where = door.begin("q", folder)
    query = {"Content-Range": f"bytes */{len(DATA)}"}
    nothing = door.http.put(where, headers=query)
    assert (nothing.status_code, "range" in nothing.headers) == (308, False)
    chunk(door, where, 0, UNIT, len(DATA))
    assert door.http.put(where, headers=query).headers["range"] == f"bytes=0-{UNIT - 1}"
    assert chunk(door, where, UNIT, len(DATA), len(DATA))[0] == 200
    again = door.http.put(where, headers=query)
    assert (again.status_code, again.json()["name"]) == (200, "q")
    assert door.names(folder) == ["q"]


def test_unknown_session_is_404(door: Door) -> None:
    status, error = door.refused("PUT", "/upload/drive/v3/files?uploadType=resumable&upload_id=nope")
    assert (status, error["reason"]) == (404, "notFound")


def test_cancelled_session_is_gone(door: Door, folder: str) -> None:
    where = door.begin("x", folder)
    chunk(door, where, 0, UNIT, "*")
    assert door.http.delete(where).status_code == 499
    assert door.http.put(where, headers={"Content-Range": "bytes */*"}).status_code == 404


@pytest.mark.parametrize("said", ["rubbish", "bytes 5-1/9", "bytes 0-9/5", "bytes 0-99/*", "bytes=0-1/2"])
def test_wrong_content_range_is_400_and_writes_nothing(door: Door, folder: str, said: str) -> None:
    where = door.begin("w", folder)
    status, error = door.refused("PUT", where, content=b"x" * 100, headers={"Content-Range": said})
    assert (status, error["location"], error["locationType"]) == (400, "Content-Range", "header")
    assert "range" not in door.http.put(where, headers={"Content-Range": "bytes */*"}).headers


def test_resumable_update_keeps_id_and_makes_a_revision(door: Door, folder: str) -> None:
    made = door.put("u", b"old", folder)
    path = f"/upload/drive/v3/files/{made['id']}?uploadType=resumable"
    answer = door.http.patch(path, json={"description": "new"}, headers={"X-Upload-Content-Length": "3"})
    done = door.http.put(answer.headers["location"] + "&fields=*", content=b"new").json()
    assert (done["id"], done["description"], int(done["version"]) > int(made["version"])) == (
        made["id"],
        "new",
        True,
    )
    listed = door.told("GET", f"/drive/v3/files/{made['id']}/revisions")["revisions"]
    assert [one["id"] for one in listed] == [made["headRevisionId"], done["headRevisionId"]]


def test_second_file_of_the_same_name_has_an_id_of_its_own(door: Door, folder: str) -> None:
    first, second = door.put("same.txt", b"1", folder), door.put("same.txt", b"2", folder)
    assert first["id"] != second["id"]
    assert door.names(folder) == ["same.txt", "same.txt"]
    told = door.told("GET", f"/api/v1/files/{second['id']}")
    assert (told["name"], told["path"].rpartition("/")[2]) == ("same.txt", "same (2).txt")


def test_deleted_parent_of_an_upload(door: Door, folder: str) -> None:
    where = door.begin("late", folder)
    door.told("DELETE", f"/drive/v3/files/{folder}")
    assert door.http.put(where, content=b"x").status_code in {403, 404}


@pytest.mark.parametrize("size", [0, UNIT + 4321])
def test_total_that_is_told_behind_the_last_byte_makes_it_whole(door: Door, folder: str, size: int) -> None:
    where = door.begin("t", folder)
    if size:
        assert chunk(door, where, 0, size, "*") == (308, f"bytes=0-{size - 1}")
    answer = door.http.put(where, headers={"Content-Range": f"bytes */{size}"})
    assert answer.status_code == 200
    assert door.content(answer.json()["id"]) == DATA[:size]


def test_small_or_odd_chunks_in_the_middle_are_refused(door: Door, folder: str) -> None:
    where = door.begin("o", folder)
    assert chunk(door, where, 0, 1000, "*")[0] == 400
    assert chunk(door, where, 0, UNIT + 1, len(DATA))[0] == 400
    assert door.http.put(where, headers={"Content-Range": "bytes */*"}).status_code == 308
