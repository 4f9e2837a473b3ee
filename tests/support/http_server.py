"""A small HTTPS server that speaks HTTP/1.1 and HTTP/2 with the delays that its URLs ask for.

GET /NAME?first=SECONDS&drip=SECONDS&size=BYTES waits `first` before its head and sends its body in two
halves `drip` apart.
"""

import asyncio
import contextlib
import functools
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import h2.config
import h2.connection
import h2.events


def _wishes(target: str) -> tuple[float, float, int]:
    query = dict(parse_qsl(urlsplit(target).query))
    return float(query.get("first", 0)), float(query.get("drip", 0)), int(query.get("size", 10))


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return
        first, drip, size = _wishes(head.split(b" ")[1].decode())
        await asyncio.sleep(first)
        body = b"x" * size
        length = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n".encode()
        writer.write(length + body[: size // 2])
        await writer.drain()
        await asyncio.sleep(drip)
        writer.write(body[size // 2 :])
        await writer.drain()


class _Http2:
    """One HTTP/2 connection: every stream is answered by a task of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        self.state.initiate_connection()
        self.writer.write(self.state.data_to_send())
        while data := await self.reader.read(65536):
            for event in self.state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = {bytes(name): bytes(value) for name, value in event.headers}
                    task = asyncio.create_task(self.answer(event.stream_id, headers[b":path"].decode()))
                    self.tasks.add(task)
            self.writer.write(self.state.data_to_send())
        for task in self.tasks:
            task.cancel()

    async def answer(self, stream: int, target: str) -> None:
        first, drip, size = _wishes(target)
        await asyncio.sleep(first)
        self.state.send_headers(
            stream, [(":status", "200"), ("content-type", "text/plain"), ("content-length", str(size))]
        )
        self.writer.write(self.state.data_to_send())
        await asyncio.sleep(drip)
        for start in range(0, size, 16000):
            self.state.send_data(stream, b"x" * min(16000, size - start))
        self.state.end_stream(stream)
        self.writer.write(self.state.data_to_send())


async def _serve(http2: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
        if http2:
            await _Http2(reader, writer).run()
        else:
            await _http1(reader, writer)
    writer.close()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate with its key for localhost and return the file."""
    path = folder / "server.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    subprocess.run(
        ["openssl", *words.split(), "-keyout", path, "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + (folder / "cert.pem").read_bytes())
    return path


@contextlib.contextmanager
def serving(pem: Path | None = None, *, http2: bool = False) -> Iterator[int]:
    """Run the server in a thread, over TLS when `pem` is given; yield its port."""
    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.set_alpn_protocols(["h2"] if http2 else ["http/1.1"])
    loop = asyncio.new_event_loop()
    started: asyncio.Future[int] = loop.create_future()
    ready = threading.Event()

    async def main() -> None:
        server = await asyncio.start_server(functools.partial(_serve, http2), "127.0.0.1", 0, ssl=context)
        started.set_result(server.sockets[0].getsockname()[1])
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    task = loop.create_task(main())

    def run() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        rest = asyncio.all_tasks(loop)
        for one in rest:
            one.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield started.result()
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
