"""Keeps decoding children at hand and hands them files; a child that hangs or dies is replaced.

Rule: a file nobody can decode within its time counts as bad, with that reason; the next file is not touched.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from trivet.drive.validation.kinds import Kind
from trivet.gateway.decoding.identify import identify
from trivet.io import runner

#: How long one file may take, seconds.
DEADLINE_S = 60.0
_DECODERS = {
    **dict.fromkeys(("png", "jpeg", "gif", "webp", "bmp", "tiff"), "image"),
    "pdf": "pdf",
    "zip": "zip",
}


def decoder_of(kind: Kind | None) -> str | None:
    """Return the name of the decoder for files of `kind`, None when only the stream is checked."""
    return _DECODERS.get(kind.family) if kind else None


class DecodingPool:
    """Up to `count` decoding children, started when they are needed; use as `async with`."""

    def __init__(self, count: int, deadline_s: float = DEADLINE_S) -> None:
        self._places = asyncio.Semaphore(count)
        self._idle: list[_DecodingChild] = []
        self._deadline_s = deadline_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def fault(self, path: Path, kind: Kind | None) -> str | None:
        """Return what is wrong with the file at `path`, of `kind`; None when it is whole or not decodable."""
        decoder = decoder_of(kind)
        async with self._places:
            if kind is not None and decoder is not None:
                return await self._asked(decoder, path, kind)
        return None

    async def identified(self, path: Path, extension: str) -> str | None:
        """Return what ImageMagick says is wrong with the file at `path`, read as `extension`."""
        async with self._places:
            return await identify(path, extension, self._deadline_s)

    async def _asked(self, decoder: str, path: Path, kind: Kind) -> str | None:
        child = self._idle.pop() if self._idle else await _DecodingChild.start()
        try:
            async with asyncio.timeout(self._deadline_s):
                fault = await child.ask(decoder, path, kind)
        except TimeoutError:
            await child.close()
            return f"it could not be decoded within {self._deadline_s:g} s"
        except EOFError:
            await child.close()
            return "its decoder died of it"
        except BaseException:
            await child.close()
            raise
        self._idle.append(child)
        return fault


class _DecodingChild:
    """One child and the socket to it."""

    def __init__(
        self,
        stack: contextlib.AsyncExitStack,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._stack = stack
        self._reader = reader
        self._writer = writer

    @classmethod
    async def start(cls) -> Self:
        ours, theirs = socket.socketpair()
        async with contextlib.AsyncExitStack() as stack:
            with theirs:
                reader, writer = await asyncio.open_connection(sock=ours)
                stack.callback(writer.close)
                await stack.enter_async_context(
                    runner.start(
                        [sys.executable, "-m", "trivet.gateway.decoding.child", str(theirs.fileno())],
                        env={**os.environ, "PYTHONSAFEPATH": "1"},
                        pass_fds=[theirs.fileno()],
                    )
                )
            return cls(stack.pop_all(), reader, writer)

    async def ask(self, decoder: str, path: Path, kind: Kind) -> str | None:
        """Return what the child says of the file; raise EOFError when it died."""
        try:
            self._writer.write(_order(decoder, path, kind))
            await self._writer.drain()
            line = await self._reader.readline()
        except ConnectionError:
            raise EOFError from None
        if not line.endswith(b"\n"):
            raise EOFError
        fault: str | None = json.loads(line)["fault"]
        return fault

    async def close(self) -> None:
        """End the child."""
        await self._stack.aclose()


def _order(decoder: str, path: Path, kind: Kind) -> bytes:
    return json.dumps({"decoder": decoder, "path": str(path.absolute()), "kind": kind.name}).encode() + b"\n"
