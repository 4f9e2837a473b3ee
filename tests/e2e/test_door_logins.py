"""The door with logins: who is nobody, what a token covers, on both faces; a worker beside one without."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.errors import HttpError

from door_under_test import Door
from free_ports import free_port


@pytest.fixture(scope="module")
def guarded(door: Door) -> Iterator[Door]:
    """A worker of the same drive that wants logins, on a port of its own."""
    port = free_port()
    words = [
        sys.executable,
        "-m",
        "trivet",
        "serve",
        "gateway",
        "--port",
        str(port),
        "--state",
        str(door.drive.state),
    ]
    with subprocess.Popen(words) as worker:
        try:
            opened = Door(door.drive, port)
            opened.wait_up()
            yield opened
        finally:
            worker.terminate()
            assert worker.wait(20) == 0


@pytest.fixture(scope="module")
def token(door: Door) -> str:
    """A token of a user of its own that may read /shared and nothing else."""
    door.told("POST", "/api/v1/folders", json={"path": "shared"})
    door.told("PUT", "/api/v1/content/shared/a.txt", content=b"for all")
    door.told("PUT", "/api/v1/content/private.txt", content=b"for me")
    door.drive.trivet(
        "user", "add", "reader", "--password-stdin", stdin="correct horse battery\n", expect=None
    )
    door.drive.trivet("user", "allow", "reader", "--scope", "/shared", "--verbs", "r", expect=None)
    told = door.drive.trivet(
        "token", "create", "--user", "reader", "--scope", "/shared", "--verbs", "r", "--json"
    ).stdout
    return str(json.loads(told)["secret"])


def test_a_login_link_leads_to_where_the_drive_answers(door: Door, token: str) -> None:
    link = door.drive.trivet("user", "link", "reader").stdout.strip()
    assert link.startswith(f"http://127.0.0.1:{door.port}/login/")
    assert httpx.get(link).status_code == 303


@pytest.mark.parametrize("path", ["/drive/v3/files", "/api/v1/files/root", "/api/v1/trash", "/api/v1/health"])
def test_nobody_gets_nothing(guarded: Door, path: str) -> None:
    answer = guarded.http.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert b"log in" in answer.content


def test_wrong_token_is_nobody(guarded: Door) -> None:
    assert guarded.http.get("/drive/v3/files", headers={"Authorization": "Bearer nope"}).status_code == 401


def test_a_token_reads_its_folder_and_sees_nothing_else(guarded: Door, token: str) -> None:
    mine = {"Authorization": f"Bearer {token}"}
    assert guarded.http.get("/api/v1/content/shared/a.txt", headers=mine).content == b"for all"
    assert guarded.http.get("/api/v1/content/private.txt", headers=mine).status_code == 404
    assert guarded.http.put("/api/v1/content/shared/a.txt", content=b"x", headers=mine).status_code == 403
    assert guarded.http.put("/api/v1/content/new.txt", content=b"x", headers=mine).status_code in {403, 404}
    found = guarded.http.get("/api/v1/search", headers=mine).json()["files"]
    assert {file["path"] for file in found} == {"/shared", "/shared/a.txt"}


def test_google_s_client_with_a_token(guarded: Door, token: str) -> None:
    google = guarded.google()
    google._http.credentials = Credentials(token)
    files = google.files().list(fields="files(id,name)").execute()["files"]
    assert sorted(file["name"] for file in files) == ["a.txt", "shared"]
    one = next(file["id"] for file in files if file["name"] == "a.txt")
    with pytest.raises(HttpError) as caught:
        google.files().delete(fileId=one).execute()
    assert caught.value.status_code == 403
    assert google.files().get_media(fileId=one).execute() == b"for all"


def test_a_second_drive_may_not_share_the_port(door: Door, tmp_path: object) -> None:
    other = tmp_path / "state"  # type: ignore[operator]
    words = [sys.executable, "-m", "trivet", "volume", "init", "--state", str(other)]
    subprocess.run(words, check=True, capture_output=True)
    words = [
        sys.executable,
        "-m",
        "trivet",
        "serve",
        "gateway",
        "--port",
        str(door.port),
        "--state",
        str(other),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "in use by another program" in done.stderr) == (2, True), done.stderr


def test_beyond_this_machine_only_with_tls_and_logins(door: Door) -> None:
    for options in (["--host", "0.0.0.0"], ["--host", "0.0.0.0", "--no-auth"], ["--tls-key", "x"]):
        done = door.drive.trivet("serve", "gateway", "--port", str(free_port()), *options, expect=2)
        assert "trivet: --" in done.stderr


def test_openapi_holds_under_schemathesis(door: Door) -> None:
    began = time.monotonic()
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{door.address}/api/v1/openapi.json"]
    more = ["--max-examples", "3", "--phases", "fuzzing", "--checks", checks, "--request-timeout", "20"]
    done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout[-3000:]
    assert time.monotonic() - began < 100
    assert httpx.get(f"{door.address}/healthz").status_code == 200
