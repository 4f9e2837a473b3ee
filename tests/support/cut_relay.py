"""A relay to a port of this machine that can be cut as a network is: lines stay open, nothing passes."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_PIECE_BYTES = 64 << 10
_DEADLINE_S = 10


class CutRelay:
    """Passes on what comes to `port`, except while it is `cut`."""

    def __init__(self) -> None:
        self.port = 0
        self._passes = asyncio.Event()
        self._passes.set()
        self._loop = asyncio.new_event_loop()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        """Let nothing pass, in either direction, for the time of the block."""
        self._loop.call_soon_threadsafe(self._passes.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._passes.set)

    @contextlib.contextmanager
    def running(self, target_port: int) -> Iterator["CutRelay"]:
        """Serve while the block runs."""
        ready, ended = threading.Event(), asyncio.Event()

        async def run() -> None:
            lines: set[asyncio.Task[None]] = set()

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                line = asyncio.create_task(self._lead(reader, writer, target_port))
                lines.add(line)
                line.add_done_callback(lines.discard)

            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            async with server:
                await ended.wait()
                for line in lines:
                    line.cancel()
                await asyncio.gather(*lines, return_exceptions=True)

        thread = threading.Thread(target=self._loop.run_until_complete, args=(run(),))
        thread.start()
        try:
            assert ready.wait(_DEADLINE_S)
            yield self
        finally:
            self._loop.call_soon_threadsafe(ended.set)
            thread.join(_DEADLINE_S)
            assert not thread.is_alive()
            self._loop.close()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        ends = [writer]
        try:
            await self._passes.wait()
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
            ends.append(there_writer)
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        except OSError:
            return
        finally:
            for end in ends:
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE_BYTES):
            await self._passes.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionAbortedError("one end has ended the line")
