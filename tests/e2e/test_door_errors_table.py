"""How each kind of trouble shows on either face, row by row of the rules; and that no answer is empty."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import made_files
from trivet.drive.upstream.byte_budget import BudgetLimits
from upstream_door import DoorBeforeVendor, door_before_vendor
from vendor_server import Vendor

SIZE = 700


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorBeforeVendor]:
    vendor = Vendor()
    for number in range(9):
        vendor.put(f"{number}.bin", bytes([number]) * SIZE)
    with door_before_vendor(tmp_path_factory.mktemp("door"), vendor, attempts=1) as made:
        yield made


@pytest.fixture(scope="module")
def ann(rig: DoorBeforeVendor) -> Iterator[httpx.Client]:
    with rig.client("ann") as client:
        assert native(client, "0.bin").status_code == 200
        yield client


def native(client: httpx.Client, name: str, **headers: str) -> httpx.Response:
    """Ask the native face for a file of the vendor."""
    return client.get(f"/api/v1/content/google/{name}", headers=headers)


def v3(client: httpx.Client, name: str) -> httpx.Response:
    """Ask the Drive face for a file of the vendor."""
    found = client.get("/drive/v3/files", params={"q": f"name = '{name}'"}).json()["files"]
    return client.get(f"/drive/v3/files/{found[0]['id']}", params={"alt": "media"})


def told(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code, or reason, of a refusal in the shape of its face."""
    body = answer.json()
    if "error" in body:
        assert body["error"]["code"] == answer.status_code
        assert body["error"]["message"]
        return answer.status_code, body["error"]["errors"][0]["reason"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["detail"]
    return answer.status_code, body["code"]


def test_vendors_day_spent(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    quota = rig.work.up.vendor.quota
    quota.note_spent(time.time())
    try:
        refused = native(ann, "1.bin")
        assert told(refused) == (429, "quota_exhausted")
        assert 0 < int(refused.headers["retry-after"]) <= 86400
        assert told(v3(ann, "1.bin")) == (403, "dailyLimitExceeded")
        assert native(ann, "0.bin").content == v3(ann, "0.bin").content == bytes(SIZE)
    finally:
        quota.count.spent = False


def test_byte_budget(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    budget = rig.work.transfers.budgets["download"]
    used = budget.used_bytes(time.time())
    budget.limits = BudgetLimits(pool_bytes=used + SIZE + 10)
    try:
        assert native(ann, "2.bin").status_code == 200
        queued = native(ann, "3.bin")
        assert told(queued) == (202, "queued")
        facts = queued.json()
        assert (facts["position"], facts["bytes_left"]) == (1, 10)
        assert facts["resets_at_s"] > time.time()
        assert told(native(ann, "4.bin", prefer="wait=0")) == (429, "budget_spent")
        budget.limits = BudgetLimits(pool_bytes=SIZE - 1)
        beyond = native(ann, "4.bin")
        assert told(beyond) == (403, "beyond_budget")
        assert "more than the 699 that all together may move in a day" in beyond.json()["detail"]
        assert told(v3(ann, "4.bin")) == (403, "dailyLimitExceeded")
        budget.limits = BudgetLimits(pool_bytes=used + SIZE + 10)
        assert told(v3(ann, "4.bin")) == (403, "dailyLimitExceeded")
        listed = ann.get("/api/v1/upstreams/transfers").json()["transfers"]
        assert [one["position"] for one in listed if one["transfer"]["key"] == facts["key"]] == [1]
        assert ann.delete(f"/api/v1/transfers/{facts['key']}").status_code == 204
        assert told(ann.post(f"/api/v1/transfers/{facts['key']}/resume")) == (409, "conflict")
    finally:
        budget.limits = BudgetLimits()
        rig.run(_new_day(rig))


async def _new_day(rig: DoorBeforeVendor) -> None:
    rig.work.transfers.new_day(time.time())


def test_vendor_down_parks_what_is_asked_for(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    rig.vendor.faults.down = True
    try:
        refused = native(ann, "5.bin")
        assert told(refused) == (503, "upstream_down")
        facts = refused.json()
        assert int(refused.headers["retry-after"]) > 0
        assert (facts["resumable"], facts["offset"]) == (True, 0)
        assert re.search(r"tried once|does not answer", facts["detail"])
        assert told(v3(ann, "6.bin")) == (503, "backendError")
        assert native(ann, "0.bin").status_code == 200
    finally:
        rig.vendor.faults.down = False
    state = ann.get(f"/api/v1/transfers/{facts['key']}").json()
    assert (state["state"], state["resumable"], state["direction"]) == ("parked", True, "download")
    with rig.client("eve") as eve:
        assert told(eve.post(f"/api/v1/transfers/{facts['key']}/resume")) == (404, "not_found")
    rig.until(lambda: native(ann, "5.bin").status_code == 200)
    rig.until(lambda: ann.get(f"/api/v1/transfers/{facts['key']}").json()["state"] == "committed")


def test_transfer_gone(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    begun = ann.post("/api/v1/transfers", json={"path": "late.bin", "size": 10}).json()
    v3_session = ann.post("/upload/drive/v3/files?uploadType=resumable", json={"name": "late"})
    rig.run(rig.door.drive.door.write("UPDATE transfers SET expires_at = 1"))
    assert told(ann.get(f"/api/v1/transfers/{begun['key']}")) == (410, "session_expired")
    late = ann.put(v3_session.headers["location"], content=b"", headers={"content-range": "bytes */*"})
    assert told(late) == (404, "notFound")


def test_locked_and_stale(ann: httpx.Client) -> None:
    file = ann.put("/api/v1/content/mine.txt", content=b"one").json()
    lock = {"owner": "agent-1", "ttl_s": 60}
    held = ann.post(f"/api/v1/files/{file['id']}/locks", json=lock).json()
    assert told(ann.put(f"/api/v1/files/{file['id']}/content", content=b"two")) == (423, "locked")
    media = f"/upload/drive/v3/files/{file['id']}?uploadType=media"
    assert told(ann.patch(media, content=b"two")) == (403, "fileLocked")
    ann.delete(f"/api/v1/files/{file['id']}/locks", params={"owner": "agent-1", "token": held["token"]})
    stale = {"if-match": '"1"'}
    assert told(ann.put("/api/v1/content/mine.txt", content=b"two", headers=stale)) == (
        412,
        "precondition_failed",
    )
    assert told(ann.patch(media, content=b"two", headers=stale)) == (412, "conditionNotMet")


def test_mime_against_extension(ann: httpx.Client) -> None:
    folder = ann.post("/api/v1/folders", json={"path": "strict"}).json()
    ann.patch(f"/api/v1/files/{folder['id']}", json={"validate": "refuse"})
    refused = ann.put("/api/v1/content/strict/picture.pdf", content=made_files.whole("png"))
    assert told(refused) == (415, "unsupported_type")
    assert refused.json()["suggested_name"] == "picture.png"
    made = {"name": "picture.pdf", "parents": [folder["id"]]}
    session = ann.post("/upload/drive/v3/files?uploadType=resumable", json=made).headers["location"]
    assert told(ann.put(session, content=made_files.whole("png"))) == (400, "badRequest")


def test_no_majority(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    rig.door.banks.failing = True
    try:
        assert told(ann.post("/api/v1/folders", json={"path": "lost"})) == (503, "no_majority")
        body: dict[str, Any] = {"name": "lost", "mimeType": "application/vnd.google-apps.folder"}
        assert told(ann.post("/drive/v3/files", json=body)) == (503, "backendError")
    finally:
        rig.door.banks.failing = False


@pytest.mark.parametrize("path", ["/api/v1/files/9", "/drive/v3/files/9"])
def test_a_wrong_method_is_told_every_right_one(ann: httpx.Client, path: str) -> None:
    answer = ann.post(path)
    assert answer.status_code == 405
    allowed = set(answer.headers["allow"].split(", "))
    assert allowed >= {"GET", "HEAD", "PATCH", "DELETE"}
    assert "POST" not in allowed
    assert f"answers {answer.headers['allow']}, not POST" in answer.text


def test_no_error_has_an_empty_body(rig: DoorBeforeVendor, ann: httpx.Client) -> None:
    document = ann.get("/api/v1/openapi.json").json()
    asked = [
        (method.upper(), re.sub(r"\{\w+\}", "999999", path))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    v3_paths = [
        "",
        "files",
        "files/9",
        "files/9/permissions",
        "files/9/revisions",
        "changes",
        "about",
        "drives/9",
    ]
    asked += [
        (method, f"/drive/v3/{path}") for path in v3_paths for method in ("GET", "PATCH", "PUT", "DELETE")
    ]
    asked += [("POST", "/upload/drive/v3/files?uploadType=odd"), ("POST", "/batch/drive/v3")]
    asked += [
        ("GET", "/page/nothing"),
        ("POST", "/"),
        ("GET", "/login"),
        ("GET", "/nowhere"),
        ("PUT", "/page/app.js"),
    ]
    seen = set()
    with httpx.Client(base_url=rig.door.url) as nobody:
        for method, path in asked:
            for client, accept in ((nobody, "*/*"), (ann, "*/*"), (ann, "text/html,*/*")):
                answer = client.request(method, path, headers={"accept": accept}, content=b"{not json")
                if answer.status_code >= 400:
                    seen.add(answer.status_code)
                    assert answer.content.strip(), (method, path, answer.status_code)
    assert seen >= {400, 401, 404, 405}
