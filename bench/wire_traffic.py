"""The captures that `wire_bench.py` measures: real ones taken on loopback, and endless synthetic ones."""

import asyncio
import contextlib
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from http_server import certificate, serving

CONNECTIONS = 200
_RECORD = np.dtype([("head", "<u4", 4), ("packet", "u1", 54)])


def wanted_bytes(url: str) -> int:
    """Return the size of body that `url` asked for: how a pair is known to be right."""
    return int(parse_qs(urlsplit(url).query)["size"][0])


@contextlib.contextmanager
def capturing(path: Path, port: int) -> Iterator[None]:
    """Capture what passes port `port` of loopback into `path`."""
    words = ["dumpcap", "-q", "-i", "lo", "-s", "0", "-B", "256", "-f", f"tcp port {port}", "-w", str(path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "File:" not in (line := process.stderr.readline()):
            assert line, "dumpcap ended early"
        yield
        time.sleep(1.0)  # what dumpcap has not taken from the kernel yet
        process.terminate()


async def _client(port: int, context: ssl.SSLContext | None, number: int, exchanges: int) -> None:
    name = "localhost" if context else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    for index in range(exchanges):
        size = 3000 + (number * 7919 + index * 104729) % 4000
        writer.write(f"GET /{number}/{index}?size={size} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(size)
    writer.close()
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.wait_closed()


def make_capture(path: Path, exchanges: int, keys: Path | None) -> None:
    """Capture `exchanges` on 200 keep-alive connections, in TLS with a key log when `keys` is given."""
    pem = certificate(path.parent) if keys else None
    context = None
    if keys is not None:
        keys.unlink(missing_ok=True)
        context = ssl.create_default_context(cafile=str(pem))
        context.keylog_filename = str(keys)

    async def run(port: int) -> None:
        share = exchanges // CONNECTIONS
        await asyncio.gather(*(_client(port, context, number, share) for number in range(CONNECTIONS)))

    with serving(pem) as port, capturing(path, port):
        asyncio.run(run(port))


def drip_capture(path: Path, count: int = 40) -> list[tuple[float, float]]:
    """Capture `count` exchanges with a server that notes (wait, transfer) by its own clock."""
    truth: list[tuple[float, float]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            server, _ = listener.accept()
            with server:
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for number in range(count):
                    server.recv(4096)
                    asked = time.monotonic()
                    time.sleep(0.002 * (number % 10))
                    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    first = time.monotonic()
                    time.sleep(0.003 * (number % 7))
                    server.sendall(b"x" * 1000)
                    truth.append((first - asked, time.monotonic() - first))

        with capturing(path, port):
            thread = threading.Thread(target=serve)
            thread.start()
            with socket.create_connection(("127.0.0.1", port)) as client:
                for number in range(count):
                    client.sendall(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    got = 0
                    while got < 1041:
                        got += len(client.recv(4096))
            thread.join()
    return truth


def write_syns(pipe: Any, count: int) -> int:
    """Write a pcap of `count` connections that were only asked for: one SYN each."""
    packet = bytes(12) + b"\x08\x00" + bytes.fromhex("4500002800010000400600000a0000010a800001")
    packet += struct.pack(">HHIIBBHHH", 0, 80, 0, 0, 0x50, 2, 1000, 0, 0)
    size = pipe.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    for start in range(0, count, 50_000):
        number = np.arange(start, min(start + 50_000, count))
        rows = np.zeros(len(number), _RECORD)
        rows["head"] = np.stack(
            [number // 1000, number % 1000, np.full(len(number), 54), np.full(len(number), 54)], 1
        )
        rows["packet"] = np.frombuffer(packet, np.uint8)
        rows["packet"][:, 27] = number >> 16 & 255
        rows["packet"][:, 28] = number >> 14 & 3
        rows["packet"][:, 34] = number >> 8 & 63 | 64
        rows["packet"][:, 35] = number & 255
        size += pipe.write(rows.tobytes())
    return int(size)


def write_repeated(pipe: Any, capture: Path, size_bytes: int) -> int:
    """Write `capture` again and again, each time with other addresses, until `size_bytes`; as pcap."""
    from trivet.io.capture_reader import packet_blocks
    from trivet.wire.capture_file import CaptureScanner

    blocks = list(packet_blocks(capture, CaptureScanner()))
    written = pipe.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    turn = 0
    while written < size_bytes:
        turn += 1
        for block in blocks:
            for place in (28, 32):  # the third byte of both IPv4 addresses
                block.data[block.offset + place] = turn & 255
            data = block.data.tobytes()
            heads = np.stack(
                [block.time_ns // 10**9, block.time_ns % 10**9 // 1000, block.captured, block.wire], axis=1
            ).astype("<u4")
            out = bytearray()
            for at, length, head in zip(block.offset.tolist(), block.captured.tolist(), heads, strict=True):
                out += head.tobytes() + data[at : at + length]
            written += pipe.write(out)
    return int(written)
