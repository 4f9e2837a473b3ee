"""Logging in at the vendor with a file of credentials: a service account's, or a user's with a refresh token.

Rule: the file is read, never written; a token that has run out is renewed in a thread.
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

SCOPES = ["https://www.googleapis.com/auth/drive"]
_TIMEOUT_S = 30.0


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
            held = user_credentials.Credentials.from_authorized_user_info(told, SCOPES)  # type: ignore[no-untyped-call]
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
                    raise VendorTrouble(f"the vendor refuses the login: {error}", status=401) from error
        return f"Bearer {held.token}"

    return authorize
