"""Probes against real local HTTP and HTTPS servers: well, slow, failing, hanging, resetting, no HTTP."""

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.io.http_probe import parse_target, probe
from trivet.monitor.uptime_probing import tls_context

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve `handler` on a free port of this machine and yield the port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*pieces: bytes | float) -> Handler:
    """Return a handler that reads a request, then sends bytes and waits seconds, as listed, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
        writer.close()

    return handle


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request and reset the connection."""
    await reader.readuntil(b"\r\n\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ask(port: int, path: str = "/", *, timeout_s: float = 10.0, scheme: str = "http", tls=None):
    """Probe the local server once."""
    target = parse_target(f"{scheme}://127.0.0.1:{port}{path}")
    return await probe(target, timeout_s=timeout_s, tls=tls or tls_context(None), now=1000.0)


async def test_a_good_answer_has_its_phases() -> None:
    async with serving(answering(0.05, OK[:38], 0.05, OK[38:])) as port:
        sample = await ask(port)
    assert (sample.status, sample.error, sample.good, sample.at) == (200, None, True, 1000.0)
    assert sample.tls_ms is None
    assert sample.connect_ms is not None
    assert sample.first_byte_ms is not None
    assert 0 < sample.connect_ms < sample.total_ms
    assert sample.first_byte_ms >= 49
    assert sample.total_ms >= 99


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
async def test_statuses(status: int) -> None:
    async with serving(answering(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())) as port:
        sample = await ask(port)
    assert sample.status == status
    assert sample.error is None
    assert sample.good is (status < 400)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (answering(30.0), "timeout while waiting for the first byte"),
        (answering(OK[:20], 30.0), "timeout while reading the answer"),
        (answering(OK[:-1], 30.0), "timeout while reading the answer"),
        (resetting, "Connection reset by peer"),
        (answering(), "no valid HTTP"),
        (answering(OK[:-1]), "no valid HTTP"),
        (answering(b"\x16\x03\x01 nonsense\r\n\r\n"), "no valid HTTP"),
    ],
    ids=["hangs", "hangs in the head", "hangs in the body", "resets", "closes", "cut short", "no HTTP"],
)
async def test_a_broken_service_is_a_result(handler: Handler, said: str) -> None:
    async with serving(handler) as port:
        sample = await ask(port, timeout_s=0.4)
    assert sample.error is not None
    assert said in sample.error
    assert not sample.good
    assert sample.total_ms < 5000


async def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        sample = await ask(held.getsockname()[1])
    assert sample.error == "Connection refused while connecting"
    assert sample.connect_ms is None


async def test_an_endless_body_meets_the_deadline() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0.001)

    async with serving(endless) as port:
        sample = await ask(port, timeout_s=0.3)
    assert sample.error == "timeout while reading the answer"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that no authority of the machine has signed."""
    out = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=local", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", out, "-out", out.with_suffix(".crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    out.write_text(out.read_text() + out.with_suffix(".crt").read_text())
    return out


def server_side(certificate: Path) -> ssl.SSLContext:
    """Return the server's TLS rules."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_https_with_a_trusted_certificate(certificate: Path) -> None:
    async with serving(answering(OK), server_side(certificate)) as port:
        sample = await ask(port, scheme="https", tls=tls_context(certificate.with_suffix(".crt")))
    assert (sample.status, sample.error) == (200, None)
    assert sample.tls_ms is not None
    assert sample.tls_ms > 0
    assert sample.first_byte_ms is not None


async def test_https_with_a_certificate_nobody_signed(certificate: Path) -> None:
    async with serving(answering(OK), server_side(certificate)) as port:
        sample = await ask(port, scheme="https")
    assert sample.error is not None
    assert sample.error.startswith("certificate: ")
    assert sample.tls_ms is None


async def test_https_where_http_is_spoken_and_where_nothing_is() -> None:
    async with serving(answering(b"HTTP/1.1 400 Bad\r\n\r\n", 1.0)) as port:
        plain = await ask(port, scheme="https", timeout_s=2)
    async with serving(answering(30.0)) as port:
        silent = await ask(port, scheme="https", timeout_s=0.3)
    assert plain.error is not None
    assert silent.error == "timeout while shaking hands (TLS)"


async def test_the_request_is_what_was_asked_for() -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    async with serving(note) as port:
        await ask(port, "/caf\u00e9?q=1#part")
    assert seen[0].startswith(b"GET /caf%C3%A9?q=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{port}".encode() in seen[0].lower()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "ftp://x/",
        "http://",
        "http://x:99999/",
        "http://x/a b",
        "http://[::1/",
        "http://x/\r\nA: b",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        parse_target(url)


def test_ports_and_addresses() -> None:
    six = parse_target("https://[::1]:8443/x?y")
    assert (six.host, six.port, six.tls, six.host_header, six.request_target) == (
        "::1",
        8443,
        True,
        "[::1]:8443",
        "/x?y",
    )
    plain = parse_target("http://b\u00fccher.example")
    assert (plain.host, plain.port, plain.host_header, plain.request_target) == (
        "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/",
    )  # fmt: skip
