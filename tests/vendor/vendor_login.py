"""The vendor's authorization server on a real port: consent, codes with PKCE, tokens that run out.

Rule: it shares no module with trivet; what is wrong in a request is refused, as the vendor refuses it.
Source: RFC 6749, RFC 7636, RFC 8252.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

SCOPE = "https://www.googleapis.com/auth/drive"


class LoginServer(ThreadingHTTPServer):
    """Gives access to `bearers` those who were allowed; `allows` is what the person says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.client = {
            "client_id": "42.apps.example", "client_secret": "half a secret",
            "auth_uri": f"{self.url}/auth", "token_uri": f"{self.url}/token",
        }  # fmt: skip
        self.allows = True
        self.rotates = False
        self.bearers: set[str] = set()
        self.refresh_tokens: set[str] = set()
        self.given: list[str] = []
        self.codes: dict[str, tuple[str, str]] = {}

    def expire(self) -> None:
        """Let all access tokens run out."""
        self.bearers.clear()


class _Answers(BaseHTTPRequestHandler):
    server: LoginServer

    def do_GET(self) -> None:
        """The page of consent; the person decides at once."""
        where = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(where.query).items()}
        back = urlsplit(asked.get("redirect_uri", ""))
        expected = {
            "client_id": self.server.client["client_id"], "response_type": "code", "scope": SCOPE,
            "access_type": "offline", "code_challenge_method": "S256",
        }  # fmt: skip
        wrong = [name for name, value in expected.items() if asked.get(name) != value]
        if where.path != "/auth" or wrong or back.hostname != "127.0.0.1" or len(asked.get("state", "")) < 16:
            self._answer(400, {"error": "invalid_request", "error_description": f"wrong: {wrong}"})
            return
        told = {"state": asked["state"], "error": "access_denied"}
        if self.server.allows:
            code = secrets.token_urlsafe(16)
            self.server.codes[code] = (asked["code_challenge"], asked["redirect_uri"])
            told = {"state": asked["state"], "code": code}
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{urlencode(told)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Tokens for a code, or for a refresh token."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        kind, server = asked.get("grant_type", ""), self.server
        server.given.append(kind)
        if asked.get("client_secret") != server.client["client_secret"]:
            self._answer(401, {"error": "invalid_client"})
        elif kind == "authorization_code" and self._is_right(asked):
            self._give(new_refresh=True)
        elif kind == "refresh_token" and asked.get("refresh_token") in server.refresh_tokens:
            if server.rotates:
                server.refresh_tokens.discard(asked["refresh_token"])
            self._give(new_refresh=server.rotates)
        else:
            told = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
            self._answer(400, told)

    def _is_right(self, asked: dict[str, str]) -> bool:
        challenge, back = self.server.codes.pop(asked.get("code", ""), ("", ""))
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return bool(challenge) and proof == challenge and asked.get("redirect_uri") == back

    def _give(self, *, new_refresh: bool) -> None:
        token = secrets.token_urlsafe(16)
        self.server.bearers.add(token)
        told: dict[str, Any] = {
            "access_token": token,
            "expires_in": 3599,
            "token_type": "Bearer",
            "scope": SCOPE,
        }
        if new_refresh:
            told["refresh_token"] = secrets.token_urlsafe(16)
            self.server.refresh_tokens.add(told["refresh_token"])
        self._answer(200, told)

    def _answer(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@contextlib.contextmanager
def login_server() -> Iterator[LoginServer]:
    """Serve logins while the block runs."""
    server = LoginServer()
    thread = threading.Thread(target=server.serve_forever, name="login")
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
