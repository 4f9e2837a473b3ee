"""What leaves by a socket: in the order it was written, whenever there is room."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from trivet.io.out_stream import OutStream


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("full")

    def resume_writing(self) -> None:
        self.told.append("room")

    def abort(self) -> None:
        self.told.append("broken")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_small_pieces_never_overtake_a_large_one_that_left_in_part(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def talk() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            owner = Owner()
            out = OutStream(ours.fileno(), owner)
            written, came = bytearray(), bytearray()
            for number in range(40):
                for size in (1_000_000, 10, 70_000) if number % 4 == 0 else (10, 300):
                    piece = os.urandom(size)
                    out.write(piece[:4], piece[4:])
                    written += piece
                    with contextlib.suppress(BlockingIOError):
                        came += theirs.recv(1 << 18)  # now there is room, and much still waits
                if number % 3 == 0:
                    await asyncio.sleep(0)
            async with asyncio.timeout(20):
                while len(came) < len(written):
                    came += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
            await out.emptied()
            assert came == written
            assert owner.told[0] == "full"
            assert owner.told[-1] == "room"
            out.write(b"last")
            out.close()
            ours.close()
            assert theirs.recv(10) == b"last"
            assert theirs.recv(10) == b"", "its own descriptor is closed, too"

    run(talk())


async def test_a_peer_that_is_gone_is_told_once_and_nothing_is_kept() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        owner = Owner()
        out = OutStream(ours.fileno(), owner)
        out.write(bytes(1_000_000))
        theirs.close()
        async with asyncio.timeout(20):
            await out.emptied()
        out.write(b"more")
        assert owner.told == ["full", "broken"]
