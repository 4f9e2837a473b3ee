"""Logging in with a service account's file against a server that gives out tokens; renewed once on 401."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trivet.errors import ConfigError
from trivet.io.drive_api import DriveApi, VendorTrouble
from trivet.io.google_login import login


class TokenServer(ThreadingHTTPServer):
    """Gives out token 1, 2, 3 ...; only those from `good_from` on are good."""

    given = 0
    good_from = 2


class _Answers(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        """Give out a token."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.given += 1
        self._answer(200, {"access_token": f"token {self.server.given}", "expires_in": 3600})

    def do_GET(self) -> None:
        """Tell whose the token is."""
        number = int(self.headers["Authorization"].removeprefix("Bearer token "))
        if number < self.server.good_from:
            self._answer(401, {"error": {"errors": [{"reason": "authError"}], "message": "expired"}})
        else:
            self._answer(200, {"user": {"emailAddress": "ann@example.org"}})

    def _answer(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[TokenServer]:
    made = TokenServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def _key(place: Path, url: str) -> Path:
    pem = subprocess.run(["openssl", "genrsa", "2048"], check=True, capture_output=True, text=True).stdout
    told = {
        "type": "service_account",
        "client_email": "a@b.c",
        "private_key": pem,
        "token_uri": f"{url}/token",
    }
    place.write_text(json.dumps(told))
    return place


async def test_a_token_is_asked_for_and_renewed_once(tmp_path: Path, server: TokenServer) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    authorize = login(_key(tmp_path / "key.json", url))
    api = DriveApi(url, authorize)
    assert (await api.about())["user"]["emailAddress"] == "ann@example.org"
    assert server.given == 2
    await api.about()
    assert server.given == 2, "a good token is used again"
    server.good_from = 99
    with pytest.raises(VendorTrouble, match="401"):
        await api.about()
    assert server.given == 3
    await api.close()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "service_account"}'])
def test_what_is_no_credentials_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"key\.json"):
        login(path)
