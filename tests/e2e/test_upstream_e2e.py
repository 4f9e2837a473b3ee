"""A vendor behind a folder, as people use it: 200 MB a day, three of them want 70 MB each."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from door_under_test import Door
from drive_under_test import Drive, running_drive
from free_ports import free_port
from vendor_server import Vendor, serving

MB = 1_000_000
#: Whole drives start, stop and restart; most of a run is over in 20 s on a free machine.
pytestmark = pytest.mark.timeout(300)
#: What the other test may have fetched.
FEW = 1000
PEOPLE = ("ann", "bob", "cay")


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving(Vendor()) as running:
        noise = random.Random(7)
        for name in PEOPLE:
            running.put(f"{name}.bin", noise.randbytes(70 * MB))
        running.put("note.txt", b"a note", running.folder("docs"))
        yield running


@pytest.fixture
def drive(tmp_path: Path, vendor: Vendor) -> Iterator[Drive]:
    with running_drive(tmp_path, 1, "--port", str(free_port())) as running:
        limits = ("--download-per-day", "200MB", "--poll", "1", "--quiet", "0.5")
        added = running.trivet(
            "upstream", "add", "google", "--upstream-url", vendor.url, "--at", "/google", *limits
        )
        assert added.stdout == "ann@example.org is at /google now: 5 files and folders\n"
        yield running
        print(running.logs())


def client(drive: Drive, user: str) -> httpx.Client:
    """Return a client with a token of a new user."""
    drive.trivet("user", "add", user, "--no-password")
    made = drive.trivet("token", "create", "--user", user, "--scope", "/", "--verbs", "rw")
    port = drive.status()["gateway"]["port"]
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60)


def wait_for(is_so: Callable[[], bool], within_s: float = 90.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.1)


def test_two_of_three_run_and_the_third_runs_after_the_reset(drive: Drive, vendor: Vendor) -> None:
    people = {name: client(drive, name) for name in PEOPLE}

    def fetch(name: str) -> httpx.Response:
        return people[name].get(f"/api/v1/content/google/{name}.bin")

    with ThreadPoolExecutor(3) as pool:
        answers = dict(zip(PEOPLE, pool.map(fetch, PEOPLE), strict=True))
    assert sorted(one.status_code for one in answers.values()) == [200, 200, 202]
    waiting = next(name for name, one in answers.items() if one.status_code == 202)
    told = answers[waiting].json()
    assert (told["code"], told["position"]) == ("queued", 1)
    assert 60 * MB - FEW <= told["bytes_left"] <= 60 * MB
    assert 0 < told["resets_at_s"] - time.time() <= 24 * 3600
    refused = people[waiting].get(f"/api/v1/content/google/{waiting}.bin", headers={"Prefer": "wait=0"})
    assert refused.status_code == 202, "it has a place already, and keeps it"
    kept = {name: vendor.named(f"{name}.bin")[0] or b"" for name in PEOPLE}
    for name in set(PEOPLE) - {waiting}:
        assert hashlib.md5(answers[name].content).digest() == hashlib.md5(kept[name]).digest()
    listed = json.loads(drive.trivet("transfers", "--json").stdout)["transfers"]
    (row,) = [one for one in listed if one["transfer"]["state"] == "waiting"]
    assert (row["position"], row["transfer"]["key"], row["transfer"]["user"]) == (1, told["key"], waiting)
    assert "waiting, place 1; a new day's bytes come at " in drive.trivet("transfers").stdout

    seen = people[waiting].get("/api/v1/upstreams/transfers").json()["transfers"]
    assert [one["transfer"]["key"] for one in seen] == [told["key"]], "of others nobody hears"
    (health,) = people[waiting].get("/api/v1/upstreams").json()["upstreams"]
    assert [one["waiting"] for one in health["budgets"]] == [1, 0]

    # A new day, two seconds from now; the process is killed, and its queue is on disk.
    place = drive.state / "upstream" / "google.json"
    account = json.loads(place.read_text())
    account["download"]["day_begins_s"] = int(time.time() + 2) % 86400
    place.write_text(json.dumps(account))
    drive.kill(next(one.pid for one in drive.processes() if "upstream" in one.cmdline()))
    wait_for(lambda: fetch(waiting).status_code == 200)
    assert hashlib.md5(fetch(waiting).content).digest() == hashlib.md5(kept[waiting]).digest()
    assert 210 * MB <= vendor.face.used["download_bytes"] <= 210 * MB + FEW, "nothing came twice"


def test_the_folder_shows_the_vendors_files_and_writes_reach_the_vendor(drive: Drive, vendor: Vendor) -> None:
    google = drive.folder / "google"
    assert (google / "docs" / "note.txt").read_bytes() == b"a note"
    (google / "docs" / "reply.txt").write_bytes(b"a reply")
    wait_for(lambda: vendor.named("reply.txt") == [b"a reply"])
    vendor.drive.update(
        next(one.id for one in vendor.drive.files.values() if one.name == "note.txt"), {}, b"new"
    )
    wait_for(lambda: (google / "docs" / "note.txt").read_bytes() == b"new")
    told = drive.trivet("upstream", "status").stdout
    assert "google at /google: well" in told
    (one,) = json.loads(drive.trivet("upstream", "status", "--json").stdout)["upstreams"]
    assert (one["files"], one["outbox"], one["circuit"]) == (6, 0, "closed")


def test_another_trivet_is_a_vendor_too(drive: Drive, door: Door) -> None:
    shelf = door.folder("shelf")
    far = random.Random(3).randbytes(3 * MB)
    door.put("far.bin", far, shelf)
    words = ("--upstream-url", door.address, "--folder", shelf, "--at", "/shelf", "--name", "shelf")
    added = drive.trivet("upstream", "add", "google", *words, "--poll", "1", "--quiet", "0.5")
    assert "is at /shelf now: 1 files and folders" in added.stdout
    here = drive.folder / "shelf"
    assert (here / "far.bin").read_bytes() == far
    (here / "sub").mkdir()
    (here / "sub" / "near.bin").write_bytes(far[::-1])
    (here / "far.bin").rename(here / "renamed.bin")
    wait_for(lambda: door.names(shelf) == ["renamed.bin", "sub"])

    wait_for(lambda: len(_near(door)) == 1)
    assert door.content(_near(door)[0]["id"]) == far[::-1]


def _near(door: Door) -> list[dict[str, str]]:
    params = {"q": "name = 'near.bin' and trashed = false", "fields": "files(id)"}
    found: list[dict[str, str]] = door.told("GET", "/drive/v3/files", params=params)["files"]
    return found
