"""The pipes between trivet and a child: what goes to its stdin, what comes out of it, and how much is kept.

Rule: a body larger than any pipe never blocks anybody; what nobody read of it is counted.
"""

import asyncio
import contextlib
import fcntl
import os
import sys
import termios
from dataclasses import dataclass, field

_LINE_BYTES = 1 << 24


@dataclass(slots=True)
class Kept:
    """The first `limit` bytes of an output; the rest is counted."""

    limit: int
    data: bytearray = field(default_factory=bytearray)
    dropped_bytes: int = 0

    async def take(self, block: bytes) -> None:
        """Keep what still fits of `block`."""
        room = max(self.limit - len(self.data), 0)
        self.data += block[:room]
        self.dropped_bytes += max(len(block) - room, 0)


@dataclass(slots=True)
class Body:
    """What goes to stdin, through a pipe; our copy of its read end tells how much was never read."""

    read_end: int
    transport: asyncio.WriteTransport

    @classmethod
    async def send(cls, body: bytes, closing: contextlib.ExitStack) -> "Body":
        """Make the pipe and write `body` into it as fast as it is read."""
        read_end, write_end = os.pipe()
        closing.callback(os.close, read_end)
        transport, _ = await asyncio.get_running_loop().connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(write_end, "wb", 0)
        )
        transport.write(body)
        transport.write_eof()
        sent = cls(read_end, transport)
        closing.callback(sent._give_up)
        return sent

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():  # else it has closed itself
            self.transport.abort()

    def unread_bytes(self) -> int:
        """Count what was never read: still with us, or still in the pipe."""
        waiting = fcntl.ioctl(self.read_end, termios.FIONREAD, b"\0" * 4)
        return self.transport.get_write_buffer_size() + int.from_bytes(waiting, sys.byteorder)


def memory_file(data: bytes) -> int:
    """Return a descriptor of a nameless file in memory that holds `data`, at its start."""
    number = os.memfd_create("trivet")
    with os.fdopen(number, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(number, 0, os.SEEK_SET)
    return number


async def stream_pipe(closing: contextlib.ExitStack) -> tuple[asyncio.StreamReader, int]:
    """Make a pipe: our end as a stream (closed with `closing`), their end as a descriptor."""
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    closing.callback(transport.close)
    return reader, write_end
