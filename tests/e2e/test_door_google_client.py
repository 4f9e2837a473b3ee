"""Google's own Python client against the door: the one address is all that differs."""

import io
import os
from typing import Any

import pytest
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload, MediaIoBaseDownload, MediaIoBaseUpload

from door_under_test import FOLDER, UNIT, Door


@pytest.fixture(scope="module")
def google(door: Door) -> Any:
    """The client."""
    return door.google()


@pytest.fixture
def folder(google: Any, request: pytest.FixtureRequest) -> str:
    """A folder for one test."""
    made = {"name": request.node.name, "mimeType": FOLDER}
    return str(google.files().create(body=made).execute()["id"])


def test_multipart_round_trip_tells_everything(google: Any, folder: str) -> None:
    body = {"name": "a.txt", "parents": [folder], "properties": {"k": "v"}, "description": "d"}
    media = MediaInMemoryUpload(b"hello", "text/plain")
    made = google.files().create(body=body, media_body=media, fields="*").execute()
    assert (made["size"], made["md5Checksum"]) == ("5", "5d41402abc4b2a76b9719d911017c592")
    assert (made["properties"], made["description"], made["parents"]) == ({"k": "v"}, "d", [folder])
    assert made["mimeType"] == "text/plain"
    assert google.files().get_media(fileId=made["id"]).execute() == b"hello"


def test_resumable_in_several_chunks_and_downloaded_in_ranges(google: Any, folder: str) -> None:
    data = os.urandom(3 * UNIT + 777)
    media = MediaIoBaseUpload(io.BytesIO(data), "application/octet-stream", chunksize=UNIT, resumable=True)
    asked = google.files().create(
        body={"name": "big", "parents": [folder]}, media_body=media, fields="id,size"
    )
    made, steps = None, 0
    while made is None:
        _, made = asked.next_chunk()
        steps += 1
    assert (made["size"], steps) == (str(len(data)), 4)
    found = io.BytesIO()
    download = MediaIoBaseDownload(found, google.files().get_media(fileId=made["id"]), chunksize=300_001)
    done = False
    while not done:
        _, done = download.next_chunk()
    assert found.getvalue() == data


def test_empty_file_goes_up_and_comes_down(google: Any, folder: str) -> None:
    media = MediaIoBaseUpload(io.BytesIO(b""), "text/plain", resumable=True)
    made = google.files().create(body={"name": "empty", "parents": [folder]}, media_body=media).execute()
    found = io.BytesIO()
    download = MediaIoBaseDownload(found, google.files().get_media(fileId=made["id"]))
    assert download.next_chunk()[1] is True
    assert found.getvalue() == b""


def test_list_with_q_order_and_pages(google: Any, folder: str) -> None:
    for name in ("b 10", "b 9", "a"):
        google.files().create(body={"name": name, "parents": [folder]}).execute()
    names: list[str] = []
    asked = google.files().list(
        q=f"'{folder}' in parents and trashed=false", orderBy="name_natural", pageSize=1
    )
    while asked is not None:
        page = asked.execute()
        names += [file["name"] for file in page["files"]]
        asked = google.files().list_next(asked, page)
    assert names == ["a", "b 9", "b 10"]


def test_update_copy_trash_changes_and_revisions(google: Any, folder: str) -> None:
    body = {"name": "r.txt", "parents": [folder]}
    made = google.files().create(body=body, media_body=MediaInMemoryUpload(b"one", "text/plain")).execute()
    token = google.changes().getStartPageToken().execute()["startPageToken"]
    media = MediaInMemoryUpload(b"second", "text/plain")
    updated = google.files().update(fileId=made["id"], media_body=media, fields="id,size,version").execute()
    assert (updated["id"], updated["size"]) == (made["id"], "6")
    revisions = google.revisions().list(fileId=made["id"], fields="*").execute()["revisions"]
    get = google.revisions().get_media
    assert [get(fileId=made["id"], revisionId=one["id"]).execute() for one in revisions] == [
        b"one",
        b"second",
    ]
    kept = google.revisions().update(
        fileId=made["id"], revisionId=revisions[0]["id"], body={"keepForever": True}, fields="keepForever"
    )
    assert kept.execute() == {"keepForever": True}
    copy = google.files().copy(fileId=made["id"], body={"name": "c.txt"}, fields="id,parents").execute()
    assert copy["parents"] == [folder]
    assert google.files().get_media(fileId=copy["id"]).execute() == b"second"
    google.files().update(fileId=copy["id"], body={"trashed": True}).execute()
    listed = google.files().list(q=f"'{folder}' in parents and trashed = true").execute()["files"]
    assert [file["id"] for file in listed] == [copy["id"]]
    changed = google.changes().list(pageToken=token, fields="changes(fileId,removed,file/trashed)").execute()
    told = {change["fileId"]: change for change in changed["changes"]}
    assert told[made["id"]]["removed"] is False
    assert told[copy["id"]]["file"] == {"trashed": True}
    google.files().delete(fileId=copy["id"]).execute()
    with pytest.raises(HttpError, match="File not found"):
        google.files().get(fileId=copy["id"]).execute()


def test_permissions(google: Any, folder: str) -> None:
    role = {"type": "user", "role": "reader", "emailAddress": "ann@example.org"}
    made = google.permissions().create(fileId=folder, body=role).execute()
    google.permissions().update(fileId=folder, permissionId=made["id"], body={"role": "writer"}).execute()
    listed = google.permissions().list(fileId=folder).execute()["permissions"]
    assert [one["role"] for one in listed] == ["owner", "writer"]
    google.permissions().delete(fileId=folder, permissionId=made["id"]).execute()
    assert len(google.permissions().list(fileId=folder).execute()["permissions"]) == 1


def test_batch_answers_each_call_in_its_place(google: Any, folder: str) -> None:
    got: dict[str, Any] = {}
    batch = google.new_batch_http_request(
        callback=lambda key, answer, error: got.update({key: (answer, error)})
    )
    batch.add(google.files().get(fileId=folder), request_id="there")
    batch.add(google.files().get(fileId="424242424242"), request_id="missing")
    batch.add(
        google.files().update(fileId=folder, body={"starred": True}, fields="starred"), request_id="star"
    )
    batch.execute()
    assert got["there"][0]["id"] == folder
    assert got["missing"][1].status_code == 404
    assert got["star"][0] == {"starred": True}


def test_an_id_makes_one_file(google: Any, folder: str) -> None:
    (one,) = google.files().generateIds(count=1).execute()["ids"]
    body = {"id": one, "name": "g", "parents": [folder]}
    assert google.files().create(body=body).execute()["id"] == one
    with pytest.raises(HttpError) as caught:
        google.files().create(body=body).execute()
    assert caught.value.status_code == 409
    assert google.files().get(fileId=one, fields="name").execute() == {"name": "g"}
