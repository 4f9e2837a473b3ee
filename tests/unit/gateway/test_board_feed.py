"""What boards share: one child, the newest frame, and nothing at all when nobody looks; real processes."""

import asyncio
import sys
from pathlib import Path

import psutil

from trivet.gateway.board_feed import BoardFeed

LINES = """
import itertools, sys, time
for n in itertools.count(1):
    sys.stdout.write('{"full": {"n": %d}, "short": %d}\\n' % (n, n)); sys.stdout.flush()
    time.sleep(0.02)
"""


def child(tmp_path: Path, code: str = LINES) -> list[str]:
    program = tmp_path / "child.py"
    program.write_text(code)
    return [sys.executable, str(program)]


def running(tmp_path: Path) -> list[int]:
    return [
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if (p.info["cmdline"] or [])[1:] == [str(tmp_path / "child.py")]
    ]


async def until_gone(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        while running(tmp_path):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_two_who_look_share_a_child_that_ends_behind_them(tmp_path: Path) -> None:
    feed = BoardFeed(child(tmp_path), linger_s=0.1)
    async with feed.looking():
        first, frame = await feed.newest(0)
        async with feed.looking():
            number, newer = await feed.newest(first)
            assert len(running(tmp_path)) == 1
        assert number > first
        assert int(bytes(newer.short)) > int(bytes(frame.short))
        await feed.newest(number)  # one who is left goes on
    await until_gone(tmp_path)
    assert not feed.is_counting
    async with feed.looking():  # and begins anew
        await feed.newest(0)
    await feed.close()
    assert running(tmp_path) == []


async def test_who_reads_slowly_gets_the_newest_and_nothing_piles_up(tmp_path: Path) -> None:
    feed = BoardFeed(child(tmp_path), linger_s=0.1)
    async with feed.looking():
        number, _ = await feed.newest(0)
        while feed._number < number + 20:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        later, frame = await feed.newest(number)
        assert later >= number + 20
        assert int(bytes(frame.short)) >= 21
    await feed.close()


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    feed = BoardFeed(child(tmp_path), linger_s=0.1)
    async with feed.looking():
        await feed.newest(0)
        psutil.Process(running(tmp_path)[0]).kill()
        await until_gone(tmp_path)
        async with asyncio.timeout(20):
            while not running(tmp_path):
                await feed.newest(feed._number)  # the last lines of the dead one, then those of the next
    await feed.close()
