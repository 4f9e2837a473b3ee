"""Logging in at the vendor with a file of credentials: a service account's, or a user's with a refresh token.

Rule: a token that has run out is renewed in a thread; the file is written only when the vendor gives out
another refresh token, because the old one is worth nothing then.
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google.auth.exceptions
import google.auth.transport
import httpx2
from google.oauth2 import credentials as user_credentials
from google.oauth2 import service_account

from trivet.errors import ConfigError
from trivet.io.drive_api import Authorize, VendorTrouble
from trivet.io.secret_file import keep_secret

SCOPES = ["https://www.googleapis.com/auth/drive"]
TOKEN_URL = "https://oauth2.googleapis.com/token"
_TIMEOUT_S = 30.0


def _of_user(told: dict[str, Any]) -> user_credentials.Credentials:
    """Return a user's credentials; ValueError if something is missing."""
    missing = {"client_id", "client_secret", "refresh_token"} - set(told)
    if missing:
        raise ValueError(f"there is no {', '.join(sorted(missing))} in it")
    return user_credentials.Credentials(  # type: ignore[no-untyped-call]
        None,
        refresh_token=told["refresh_token"],
        token_uri=told.get("token_uri", TOKEN_URL),
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        scopes=SCOPES,
    )


class _Answer(google.auth.transport.Response):
    """An answer of httpx2 as google-auth wants it."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


class _Transport(google.auth.transport.Request):
    """Lets google-auth ask by httpx2."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> _Answer:
        try:
            answer = httpx2.request(method, url, content=body, headers=headers, timeout=timeout or _TIMEOUT_S)
        except httpx2.HTTPError as error:
            raise google.auth.exceptions.TransportError(error) from error  # type: ignore[no-untyped-call]
        return _Answer(answer)


def login(path: Path) -> Authorize:
    """Return what authorizes requests with the credentials in `path`; ConfigError if they are none."""
    try:
        told = json.loads(path.read_text())
        kind = told.get("type")
        if kind == "service_account":
            held: Any = service_account.Credentials.from_service_account_info(told, scopes=SCOPES)  # type: ignore[no-untyped-call]
        elif kind == "authorized_user" or "refresh_token" in told:
            held = _of_user(told)
        else:
            raise ConfigError(
                f"{path} holds no credentials of a service account or of a user (its type is {kind!r})"
            )
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"the credentials {path} can't be used: {error}") from error
    lock = asyncio.Lock()

    async def authorize(renew: bool) -> str | None:
        async with lock:
            if renew or not held.valid:
                try:
                    await asyncio.to_thread(held.refresh, _Transport())
                except google.auth.exceptions.TransportError as error:
                    raise VendorTrouble(f"no answer to the login: {error}", status=None) from error
                except google.auth.exceptions.GoogleAuthError as error:
                    why = f"{error} (`trivet upstream login` makes a person's anew)"
                    raise VendorTrouble(f"the vendor refuses the login: {why}", status=401) from error
                if kind != "service_account" and held.refresh_token != told["refresh_token"]:
                    told["refresh_token"] = held.refresh_token
                    await asyncio.to_thread(keep_secret, path, json.dumps(told, indent=2))
        return f"Bearer {held.token}"

    return authorize
