"""Asking a person for access to their drive: the vendor's page in a browser, its answer on a loopback port.

Rule: the code is worth nothing without our verifier (PKCE), and an answer with another state is not ours.
Rule: what is kept is the refresh token, in a file that only its owner may read.
Source: RFC 8252, RFC 7636; the vendor's page "OAuth 2.0 for installed applications".
"""

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import msgspec

from trivet.errors import ConfigError, TrivetError
from trivet.io.google_login import SCOPES
from trivet.io.secret_file import keep_secret

WAIT_S = 300.0
_REQUEST_S, _REQUEST_BYTES = 10.0, 16 << 10
_NEAR = ("127.0.0.1", "localhost", "::1")
_DONE = "trivet may use this drive now. You can close this window."
_REFUSED = "trivet was not allowed to use this drive. You can close this window."
_NOT_OURS = "This is not the answer that trivet waits for. Open the address that it has printed."


class InstalledClient(msgspec.Struct, frozen=True):
    """A client that the vendor has registered for programs on people's machines ("Desktop app")."""

    client_id: str
    client_secret: str
    auth_uri: str
    token_uri: str


class _ClientFile(msgspec.Struct, frozen=True):
    installed: InstalledClient | None = None


class _Tokens(msgspec.Struct, frozen=True):
    refresh_token: str = ""
    error: str = ""
    error_description: str = ""


def installed_client(path: Path) -> InstalledClient | None:
    """Return the client that the file `path` describes, None if it holds something else."""
    try:
        data = path.read_bytes()
        found = msgspec.json.decode(data, type=_ClientFile).installed
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"the credentials {path} can't be used: {error}") from error
    if found is None and b'"web"' in data:
        raise ConfigError(f"{path} is of a web client; make one of the type Desktop app, and give its file")
    for address in () if found is None else (found.auth_uri, found.token_uri):
        where = urlsplit(address)
        if where.scheme != "https" and where.hostname not in _NEAR:
            raise ConfigError(f"{path}: secrets do not go to {address}; it is not https")
    return found


def kept_client(path: Path) -> InstalledClient:
    """Return the client that the tokens in `path` were given to; ConfigError if there are none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=InstalledClient)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} holds no login that could be made anew: {error}") from error


async def ask_consent(
    client: InstalledClient, place: Path, tell: Callable[[str, int], None], wait_s: float = WAIT_S
) -> None:
    """Ask for access and keep the tokens in `place`; `tell` is handed the address to open, and our port.

    Raises ConfigError when it is refused or does not come within `wait_s`.
    """
    state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(64)
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _converse(reader, writer, state, answered)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=_REQUEST_BYTES)
    async with server:
        port = server.sockets[0].getsockname()[1]
        back = f"http://127.0.0.1:{port}"
        tell(_address(client, state, verifier, back), port)
        try:
            async with asyncio.timeout(wait_s):
                code = await answered
        except TimeoutError as error:
            raise ConfigError(f"nobody has allowed it within {wait_s / 60:.0f} minutes") from error
    tokens = await _exchanged(client, code, verifier, back)
    kept = {
        "type": "authorized_user",
        **msgspec.structs.asdict(client),
        "refresh_token": tokens.refresh_token,
    }
    keep_secret(place, json.dumps(kept, indent=2))


def _address(client: InstalledClient, state: str, verifier: str, back: str) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "client_id": client.client_id,
        "redirect_uri": back,
        "response_type": "code",
        "scope": " ".join(SCOPES),
        "access_type": "offline",
        "prompt": "consent",
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return f"{client.auth_uri}{'&' if urlsplit(client.auth_uri).query else '?'}{urlencode(query)}"


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: str, answered: asyncio.Future[str]
) -> None:
    """Answer one request of the browser; the one that carries our state ends the waiting."""
    try:
        async with asyncio.timeout(_REQUEST_S):
            head = await reader.readuntil(b"\r\n\r\n")
            words = head.split(b" ", 2)
            query = parse_qs(urlsplit(words[1].decode("latin-1")).query) if len(words) == 3 else {}
            told = {name: values[0] for name, values in query.items()}
            is_ours = secrets.compare_digest(told.get("state", "").encode(), state.encode())
            if is_ours and not answered.done():
                if "code" in told:
                    answered.set_result(told["code"])
                else:
                    why = told.get("error", "it gave no code")
                    answered.set_exception(ConfigError(f"access was not allowed: {why[:100]}"))
            said = _NOT_OURS if not is_ours else _DONE if "code" in told else _REFUSED
            status = b"200 OK" if is_ours else b"400 Bad Request"
            body = f"<!doctype html><title>trivet</title><p>{said}</p>\n".encode()
            writer.write(
                b"HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nReferrer-Policy: no-referrer\r\n"
                b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
            )
            await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return
    finally:
        writer.close()


async def _exchanged(client: InstalledClient, code: str, verifier: str, back: str) -> _Tokens:
    form = {
        "grant_type": "authorization_code", "code": code, "client_id": client.client_id,
        "client_secret": client.client_secret, "redirect_uri": back, "code_verifier": verifier,
    }  # fmt: skip
    try:
        async with httpx2.AsyncClient(timeout=30.0) as http:
            answer = await http.post(client.token_uri, data=form)
        tokens = msgspec.json.decode(answer.content, type=_Tokens)
    except httpx2.HTTPError as error:
        raise TrivetError(f"no answer to the login: {error}") from error
    except msgspec.DecodeError as error:
        raise TrivetError(f"the answer to the login can't be read: {error}") from error
    if tokens.error or not tokens.refresh_token:
        why = tokens.error_description or tokens.error or "it gave no refresh token"
        raise ConfigError(f"the vendor refuses the login: {why[:200]}")
    return tokens
