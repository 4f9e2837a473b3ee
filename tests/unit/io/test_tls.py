"""TLS between hosts: who is let through, who is not, and in which words."""

import asyncio
import datetime
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from trivet.errors import ConfigError
from trivet.io.certificates import HOST_DAYS, certify, make_authority
from trivet.io.link import HandlerResult, Link, LinkLost, NotTrusted, Peer, serve_link
from trivet.io.tls import client_tls, public_socket, server_tls, tls_options
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.bank_messages import BlobData, GetBlob
from trivet.wire.journal_messages import BankMessage, Done

KEY = bytes(range(32))
HOST = "127.0.0.1"


def spread_folder(path: Path, host: str = HOST, at: datetime.datetime | None = None) -> VolumeFolder:
    """Make a volume whose only host is `host`, certified at the time `at`."""
    folder = VolumeFolder(path)
    folder.create(VolumeConfig("00" * 8, [7000, 8000, 9000], 1, hosts={"7000": host}, keeper=host))
    make_authority(folder, "00" * 8, now())
    certify(folder, host, folder.authority_key_path, at or now())
    return folder


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    return spread_folder(tmp_path / "state")


@asynccontextmanager
async def serving(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve an echo on a port of loopback, by TLS if there is a `context`."""

    def echo(message: BankMessage, body: bytes | memoryview, peer: Peer) -> HandlerResult:
        return (BlobData(True, len(body), 0, b""), bytes(body)) if isinstance(message, GetBlob) else Done()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_link(reader, writer, KEY, echo)

    with public_socket(0, HOST) as listening:
        server = await asyncio.start_server(on_connect, sock=listening, **tls_options(context))
        async with server:
            yield listening.getsockname()[1]


async def reason_of(port: int, folder: VolumeFolder, host: str = HOST) -> str:
    """Return why a link to the server on `port` is not trusted."""
    with pytest.raises(NotTrusted) as refused:
        await Link.connect((host, port), KEY, timeout_s=10, tls=client_tls(folder))
    return str(refused.value)


async def test_bodies_of_every_size_go_both_ways(folder: VolumeFolder) -> None:
    async with serving(server_tls(folder, HOST)) as port:
        link = await Link.connect((HOST, port), KEY, timeout_s=10, tls=client_tls(folder))
        for size in (0, 1, 1000, 20_000, 70_000, 4 << 20):
            body = os.urandom(size)
            _, returned = await link.request(GetBlob(1, 0, 1), body, timeout_s=30)
            assert returned == body
        many = [link.start(GetBlob(1, 0, 1), os.urandom(50_000)) for _ in range(100)]
        assert all(len(body) == 50_000 for _, body in await asyncio.gather(*many))
        await link.close()


async def test_who_lacks_the_volume_key_is_not_served(folder: VolumeFolder) -> None:
    async with serving(server_tls(folder, HOST)) as port:
        link = await Link.connect((HOST, port), bytes(32), timeout_s=10, tls=client_tls(folder))
        with pytest.raises(LinkLost):
            await link.request(GetBlob(1, 0, 1), timeout_s=10)
        await link.close()


async def test_another_authority_is_not_believed(folder: VolumeFolder, tmp_path: Path) -> None:
    other = spread_folder(tmp_path / "other")
    async with serving(server_tls(other, HOST)) as port:
        assert "is not from this volume's authority" in await reason_of(port, folder)


async def test_another_host_of_the_volume_is_not_this_one(folder: VolumeFolder) -> None:
    certify(folder, "beta.example", folder.authority_key_path, now())
    async with serving(server_tls(folder, "beta.example")) as port:
        assert "is another host" in await reason_of(port, folder)


async def test_names_are_checked_as_addresses_are(tmp_path: Path) -> None:
    folder = spread_folder(tmp_path / "named", "localhost")
    async with serving(server_tls(folder, "localhost")) as port:
        link = await Link.connect(("localhost", port), KEY, timeout_s=10, tls=client_tls(folder))
        await link.close()
        assert "is another host" in await reason_of(port, folder)


@pytest.mark.parametrize(
    ("made", "word"),
    [(-HOST_DAYS - 2, "has expired: `trivet volume certify`"), (3, "is not valid yet")],
)
async def test_the_time_of_a_certificate_counts(tmp_path: Path, made: int, word: str) -> None:
    folder = spread_folder(tmp_path / "aged", at=now() + datetime.timedelta(days=made))
    async with serving(server_tls(folder, HOST)) as port:
        assert word in await reason_of(port, folder)
        certify(folder, HOST, folder.authority_key_path, now())
    async with serving(server_tls(folder, HOST)) as port:
        link = await Link.connect((HOST, port), KEY, timeout_s=10, tls=client_tls(folder))
        await link.close()


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_without_tls_is_told_of(folder: VolumeFolder, answer: bytes) -> None:
    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(on_connect, HOST, 0)
    async with server:
        assert "does not speak TLS" in await reason_of(server.sockets[0].getsockname()[1], folder)


async def test_a_client_without_tls_gets_nothing(folder: VolumeFolder) -> None:
    async with serving(server_tls(folder, HOST)) as port:
        with pytest.raises(LinkLost):
            await Link.connect((HOST, port), KEY, timeout_s=10)


async def test_nothing_older_than_tls_1_3_is_spoken(folder: VolumeFolder) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(folder.authority_path)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(server_tls(folder, HOST)) as port:
        with pytest.raises(OSError, match=r"^$|SSL|reset"):
            await asyncio.open_connection(HOST, port, ssl=old)


def test_missing_and_open_files_are_told_of(folder: VolumeFolder) -> None:
    folder.host_key_path(HOST).chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        server_tls(folder, HOST)
    with pytest.raises(ConfigError, match="trivet volume certify beta"):
        server_tls(folder, "beta")
    folder.authority_path.unlink()
    with pytest.raises(ConfigError, match="copy it from another host"):
        client_tls(folder)


def test_only_the_authoritys_key_makes_certificates(folder: VolumeFolder, tmp_path: Path) -> None:
    other = spread_folder(tmp_path / "other")
    with pytest.raises(ConfigError, match="is not the key of this volume's authority"):
        certify(folder, HOST, other.authority_key_path, now())
    with pytest.raises(ConfigError, match="can't be read"):
        certify(folder, HOST, tmp_path / "nowhere", now())
    with pytest.raises(ConfigError, match="is there already"):
        make_authority(folder, "00" * 8, now())
    certify(folder, HOST, folder.authority_key_path, now())


def test_silent_peers_are_found_out() -> None:
    with public_socket(0, HOST) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10


async def test_a_link_knows_when_its_certificate_ends(folder: VolumeFolder) -> None:
    async with serving(server_tls(folder, HOST)) as port:
        link = await Link.connect((HOST, port), KEY, timeout_s=10, tls=client_tls(folder))
        ends_s = link.certificate_ends_s
        await link.close()
    assert ends_s is not None
    assert abs(ends_s - now().timestamp() - HOST_DAYS * 86_400) < 3600
    async with serving(None) as port:
        link = await Link.connect((HOST, port), KEY, timeout_s=10)
        assert link.certificate_ends_s is None
        await link.close()
