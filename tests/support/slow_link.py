"""A proxy between a keeper and one bank's server: it delays what passes, cuts lines, swaps pieces.

Rule: it stands at the path where the keeper looks for the server's unix socket, and leads on to where that
was moved; the lines through it end with it.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

from trivet.io.unix_socket import bound_socket, socket_name

_PIECE_BYTES = 64 << 10
_WAITING_PIECES = 256


class SlowLink:
    """What is done to each line; `passed` counts pieces, `cuts` and `swaps` what was done to lines."""

    def __init__(self, delay_s: float, jitter_s: float, rng: random.Random) -> None:
        self.delay_s = delay_s
        self.jitter_s = jitter_s
        self.cut_every = 0
        self.swap_every = 0
        self.passed = self.cuts = self.swaps = 0
        self._rng = rng

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, onward: Path) -> None:
        """Serve one line until either end, or a cut, ends it."""
        try:
            with socket_name(onward) as name:
                there_reader, there_writer = await asyncio.open_unix_connection(name)
        except OSError:
            writer.close()
            return
        pumps = [self._pump(reader, there_writer), self._pump(there_reader, writer)]
        try:
            await asyncio.wait(list(map(asyncio.ensure_future, pumps)), return_when="FIRST_COMPLETED")
        finally:
            for end in (writer, there_writer):
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING_PIECES)
        passing = asyncio.ensure_future(self._pass_on(pieces, writer))
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(_PIECE_BYTES):
                due = loop.time() + self.delay_s + self._rng.random() * self.jitter_s
                await pieces.put((due, data))
        except ConnectionError:
            pass
        finally:
            passing.cancel()

    async def _pass_on(
        self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                self.passed += 1
                if self.cut_every and self._rng.randrange(self.cut_every) == 0:
                    self.cuts += 1
                    writer.transport.abort()
                    return
                if self.swap_every and len(data) > 1 and self._rng.randrange(self.swap_every) == 0:
                    self.swaps += 1
                    data = data[len(data) // 2 :] + data[: len(data) // 2]
                writer.write(data)
                await writer.drain()


@contextlib.contextmanager
def slow_link(socket: Path, onward: Path, link: SlowLink) -> Iterator[SlowLink]:
    """Lead lines from `socket` through `link` to the server that listens at `onward` while the block runs."""
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_unix_server(
            lambda reader, writer: link.lead(reader, writer, onward), sock=bound_socket(socket)
        )
        ready.set()
        await stop.wait()
        server.close()
        lines = asyncio.all_tasks() - {asyncio.current_task()}
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield link
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
        socket.unlink(missing_ok=True)
