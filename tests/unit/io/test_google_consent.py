"""A person allows access in a browser: PKCE and state, a token file, renewed when tokens run out."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from trivet.errors import ConfigError
from trivet.io.drive_api import DriveApi, VendorTrouble
from trivet.io.google_consent import InstalledClient, ask_consent, installed_client, kept_client
from trivet.io.google_login import login
from vendor_login import LoginServer, login_server
from vendor_server import Vendor, serving


@pytest.fixture
def server() -> Iterator[LoginServer]:
    with login_server() as running:
        yield running


def client_file(place: Path, server: LoginServer) -> Path:
    """Write the file that the vendor's console lets people download."""
    place.write_text(json.dumps({"installed": server.client}))
    return place


async def browse(addresses: "asyncio.Queue[str]") -> httpx2.Response:
    """Do what a person's browser does."""
    address = await addresses.get()
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        return await browser.get(address)


async def logged_in(server: LoginServer, place: Path) -> Path:
    """Log in; return where the tokens are."""
    client = installed_client(client_file(place / "client.json", server))
    assert client is not None
    addresses: asyncio.Queue[str] = asyncio.Queue()
    browsing = asyncio.create_task(browse(addresses))
    kept = place / "upstream" / "google.token"
    await ask_consent(client, kept, lambda address, port: addresses.put_nowait(address), wait_s=20)
    assert "You can close this window" in (await browsing).text
    return kept


async def test_the_whole_way_and_renewing(tmp_path: Path, server: LoginServer) -> None:
    kept = await logged_in(server, tmp_path)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["type"] == "authorized_user"
    with serving(Vendor()) as vendor:
        vendor.face.bearers = server.bearers
        api = DriveApi(vendor.url, login(kept))
        assert (await api.about())["user"]["emailAddress"] == "ann@example.org"
        await api.about()
        assert server.given == ["authorization_code", "refresh_token"]
        server.expire()
        await api.about()
        assert server.given[2:] == ["refresh_token"], "a 401 asks for one new token"
        server.rotates = True
        server.expire()
        await api.about()
        (newest,) = server.refresh_tokens
        assert json.loads(kept.read_text())["refresh_token"] == newest
        assert kept.stat().st_mode & 0o777 == 0o600
        await api.close()
        again = DriveApi(vendor.url, login(kept))
        await again.about()
        server.refresh_tokens.clear()
        server.expire()
        with pytest.raises(VendorTrouble, match=r"expired or revoked.*trivet upstream login"):
            await again.about()
        await again.close()
    assert kept_client(kept).client_id == server.client["client_id"]


async def test_answers_that_are_not_ours_are_left_alone(tmp_path: Path, server: LoginServer) -> None:
    addresses: asyncio.Queue[str] = asyncio.Queue()
    client = InstalledClient(**server.client)
    ports: list[int] = []

    def tell(address: str, port: int) -> None:
        ports.append(port)
        addresses.put_nowait(address)

    asking = asyncio.create_task(ask_consent(client, tmp_path / "t", tell, wait_s=20))
    address = await addresses.get()
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        forged = await browser.get(f"http://127.0.0.1:{ports[0]}/?code=stolen&state=guessed")
        assert (forged.status_code, asking.done()) == (400, False)
        assert (await browser.get(f"http://127.0.0.1:{ports[0]}/favicon.ico")).status_code == 400
        reader, writer = await asyncio.open_connection("127.0.0.1", ports[0])
        writer.write(b"x" * 40_000)
        await reader.read()
        writer.close()
        server.allows = False
        assert "was not allowed" in (await browser.get(address)).text
    with pytest.raises(ConfigError, match="access was not allowed: access_denied"):
        await asking
    assert not (tmp_path / "t").exists()
    with pytest.raises(ConfigError, match="nobody has allowed it"):
        await ask_consent(client, tmp_path / "t", lambda address, port: None, wait_s=0.05)


async def test_a_code_without_our_verifier_is_worth_nothing(tmp_path: Path, server: LoginServer) -> None:
    addresses: asyncio.Queue[str] = asyncio.Queue()
    asking = asyncio.create_task(
        ask_consent(
            InstalledClient(**server.client), tmp_path / "t", lambda address, _: addresses.put_nowait(address)
        )
    )
    address = await addresses.get()
    async with httpx2.AsyncClient() as browser:
        code = httpx2.URL((await browser.get(address)).headers["location"]).params["code"]
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": "guessed" * 8}
        answer = await browser.post(
            server.client["token_uri"], data=form | {"client_secret": "half a secret", "client_id": "42"}
        )
        assert answer.json()["error"] == "invalid_grant"
        await browser.get((await browser.get(address)).headers["location"])
    await asking
    assert (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"web": {"client_id": "x"}}', "Desktop app"),
        ("not json", "can't be used"),
        (
            '{"installed": {"client_id": "a", "client_secret": "b", "auth_uri": "http://far/a", '
            '"token_uri": "x"}}',
            "not https",
        ),
        ('{"installed": {"client_id": "a"}}', "can't be used"),
    ],
)
def test_files_that_are_no_client(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "client.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        installed_client(path)
