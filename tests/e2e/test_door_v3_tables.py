"""Drive v3 over raw HTTP: q, order, pages, fields, errors and ranges as the published protocol has them."""

import time

import pytest

from door_under_test import FOLDER, Door


@pytest.fixture(scope="module")
def folder(door: Door) -> str:
    """A folder with two files and a folder."""
    made = door.folder("tables")
    door.put("Hello World.pdf", b"%PDF-1.4 x", made, properties={"a": "1"}, starred=True)
    door.put("it's.txt", b"some text", made, modifiedTime="2020-01-02T03:04:05Z")
    door.folder("inner", made)
    return made


@pytest.fixture
def place(door: Door) -> str:
    """A folder for one test."""
    return door.folder("place")


@pytest.mark.parametrize(
    ("q", "names"),
    [
        ("name contains 'hello'", ["Hello World.pdf"]),
        ("name contains 'wor'", ["Hello World.pdf"]),
        ("name contains 'ello'", []),
        (r"name = 'it\'s.txt'", ["it's.txt"]),
        ("name='it\\'s.txt'or starred=true", ["Hello World.pdf", "it's.txt"]),
        (f"mimeType = '{FOLDER}'", ["inner"]),
        (f"mimeType != '{FOLDER}'", ["Hello World.pdf", "it's.txt"]),
        ("mimeType contains 'text/'", ["it's.txt"]),
        ("modifiedTime < '2020-01-02T03:04:06'", ["it's.txt"]),
        ("modifiedTime = '2020-01-02T04:04:05+01:00'", ["it's.txt"]),
        ("properties has { key='a' and value='1' }", ["Hello World.pdf"]),
        ("not (starred = true) and 'me' in owners", ["inner", "it's.txt"]),
        ("trashed = true", []),
        ("sharedWithMe = true", []),
    ],
)
def test_q(door: Door, folder: str, q: str, names: list[str]) -> None:
    asked = {"q": f"'{folder}' in parents and ({q})", "orderBy": "name", "fields": "files(name)"}
    told = door.told("GET", "/drive/v3/files", params=asked)
    assert [file["name"] for file in told["files"]] == names


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["Hello World.pdf", "inner", "it's.txt"]),
        ("name desc", ["it's.txt", "inner", "Hello World.pdf"]),
        ("folder,name desc", ["inner", "it's.txt", "Hello World.pdf"]),
        ("quotaBytesUsed desc,name", ["Hello World.pdf", "it's.txt", "inner"]),
        ("starred,name", ["Hello World.pdf", "inner", "it's.txt"]),
    ],
)
def test_order_and_pages_of_one(door: Door, folder: str, order: str, names: list[str]) -> None:
    found, token = [], None
    while True:
        asked = {"q": f"'{folder}' in parents", "orderBy": order, "pageSize": 1}
        page = door.told("GET", "/drive/v3/files", params=asked | ({"pageToken": token} if token else {}))
        found += [file["name"] for file in page["files"]]
        token = page.get("nextPageToken")
        if token is None:
            break
    assert found == names


def test_pages_without_an_order_tell_each_file_once(door: Door, folder: str) -> None:
    found, asked = [], {"q": f"'{folder}' in parents", "pageSize": "2"}
    while True:
        page = door.told("GET", "/drive/v3/files", params=asked)
        found += [file["name"] for file in page["files"]]
        if "nextPageToken" not in page:
            break
        asked["pageToken"] = page["nextPageToken"]
    assert sorted(found) == ["Hello World.pdf", "inner", "it's.txt"]


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"q": "name ="}, "q"),
        ({"q": "nme = 'x'"}, "q"),
        ({"q": "name = 'x"}, "q"),
        ({"q": "(" * 5000}, "q"),
        ({"q": "size > 5"}, "q"),
        ({"orderBy": "size"}, "orderBy"),
        ({"pageSize": "0"}, "pageSize"),
        ({"pageSize": "x"}, "pageSize"),
        ({"pageToken": "x"}, "pageToken"),
        ({"fields": "files(id"}, "fields"),
        ({"fields": "nothing"}, "fields"),
        ({"spaces": "moon"}, "spaces"),
    ],
)
def test_wrong_parameters_say_which(door: Door, params: dict[str, str], where: str) -> None:
    status, error = door.refused("GET", "/drive/v3/files", params=params)
    assert (status, error["location"], error["domain"]) == (400, where, "global")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/drive/v3/files/nope", 404, "notFound"),
        ("GET", "/drive/v3/files/99999999999", 404, "notFound"),
        ("GET", "/drive/v3/files/2", 404, "notFound"),
        ("GET", "/drive/v3/files/root?alt=media", 400, "fileNotDownloadable"),
        ("GET", "/drive/v3/files/root?alt=xml", 400, "invalid"),
        ("GET", "/drive/v3/files/root/export?mimeType=text/plain", 415, "fileNotExportable"),
        ("GET", "/drive/v3/files?q=fullText+contains+'x'", 501, "notImplemented"),
        ("GET", "/drive/v3/about", 400, "required"),
        ("GET", "/drive/v3/changes", 400, "required"),
        ("GET", "/drive/v3/changes?pageToken=x", 400, "invalid"),
        ("GET", "/drive/v3/drives/abc", 404, "notFound"),
        ("POST", "/drive/v3/drives", 501, "notImplemented"),
        ("POST", "/drive/v3/changes/watch", 501, "notImplemented"),
        ("POST", "/drive/v3/files/root/copy", 400, "cannotCopyFile"),
        ("DELETE", "/drive/v3/files/root", 403, "insufficientFilePermissions"),
        ("POST", "/upload/drive/v3/files?uploadType=magic", 400, "invalid"),
        ("POST", "/upload/drive/v3/files?uploadType=multipart", 400, "badRequest"),
        ("GET", "/drive/v3/nothing", 404, "notFound"),
    ],
)
def test_errors(door: Door, method: str, path: str, status: int, reason: str) -> None:
    got, error = door.refused(method, path)
    assert (got, error["reason"]) == (status, reason)


@pytest.mark.parametrize(
    ("asked", "status", "expected", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=0-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("apples=0-1", 200, b"0123456789", None),
    ],
)
def test_ranges(door: Door, asked: str, status: int, expected: bytes, told: str | None) -> None:
    made = door.put("range.bin", b"0123456789", door.folder("ranges"))
    got = door.http.get(f"/drive/v3/files/{made['id']}?alt=media", headers={"Range": asked})
    assert (got.status_code, got.content, got.headers.get("content-range")) == (status, expected, told)


def test_fields_cut_the_answer(door: Door, folder: str) -> None:
    told = door.told("GET", f"/drive/v3/files/{folder}?fields=id,capabilities/canEdit,owners(me)")
    assert told == {"id": folder, "capabilities": {"canEdit": True}, "owners": [{"me": True}]}
    assert set(door.told("GET", f"/drive/v3/files/{folder}")) == {"kind", "id", "name", "mimeType"}


def test_a_folder_can_t_be_put_into_itself(door: Door, place: str) -> None:
    below = door.folder("below", place)
    status, error = door.refused("PATCH", f"/drive/v3/files/{place}?addParents={below}", json={})
    assert (status, error["location"]) == (400, "addParents")
    assert door.told("GET", f"/drive/v3/files/{place}?fields=name")["name"] == "place"


def test_moving_needs_the_right_old_parent(door: Door, place: str) -> None:
    made = door.put("moved", b"", place)
    other = door.folder("other")
    status, _ = door.refused("PATCH", f"/drive/v3/files/{made['id']}?removeParents={other}", json={})
    assert status == 400
    path = f"/drive/v3/files/{made['id']}?addParents={other}&removeParents={place}&fields=parents"
    assert door.told("PATCH", path, json={}) == {"parents": [other]}


def test_changes_go_on_from_a_token(door: Door, place: str) -> None:
    token = door.told("GET", "/drive/v3/changes/startPageToken")["startPageToken"]
    made = door.put("changed", b"x", place)
    door.told("DELETE", f"/drive/v3/files/{made['id']}")
    until = time.monotonic() + 10
    removed: set[str] = set()
    while made["id"] not in removed:
        assert time.monotonic() < until, "the removal was never told"
        told = door.told("GET", f"/drive/v3/changes?pageToken={token}")
        removed |= {change["fileId"] for change in told["changes"] if change["removed"]}
        token = told.get("nextPageToken") or told["newStartPageToken"]


def test_restoring_from_the_trash_keeps_the_id(door: Door, place: str) -> None:
    inner = door.folder("trashed", place)
    made = door.put("child", b"x", inner)
    path = f"/drive/v3/files/{inner}?fields=trashed"
    assert door.told("PATCH", path, json={"trashed": True}) == {"trashed": True}
    child = door.told("GET", f"/drive/v3/files/{made['id']}?fields=trashed,explicitlyTrashed")
    assert child == {"trashed": True, "explicitlyTrashed": False}
    assert door.told("PATCH", path, json={"trashed": False}) == {"trashed": False}
    assert door.content(made["id"]) == b"x"
