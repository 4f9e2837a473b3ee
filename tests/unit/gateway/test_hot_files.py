"""Files that a worker keeps: proved by a version asked after the request came, however many come at once."""

import asyncio

import pytest

from trivet.drive.rights import EVERYTHING, Principal
from trivet.errors import NoMajority
from trivet.gateway.files.hot_files import HotFile, HotFiles

ME = Principal("me", (EVERYTHING,))


class Versions:
    """A volume whose one file is at `now`; it looks when it is asked and answers when `gate` opens."""

    def __init__(self) -> None:
        self.now = 1
        self.asked = 0
        self.gate = asyncio.Event()
        self.failure: Exception | None = None

    async def version(self, ino: int) -> int:
        """See VersionedVolume."""
        self.asked += 1
        seen = self.now
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return seen


async def test_requests_at_once_share_a_question_asked_after_they_came() -> None:
    volume, hot = Versions(), HotFiles()
    hot.keep("f", HotFile(7, 1, {}, b"old"))
    first = asyncio.create_task(hot.get(volume, "f", ME))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    volume.now = 2
    later = [asyncio.create_task(hot.get(volume, "f", ME)) for _ in range(5)]  # type: ignore[arg-type]
    later[0].cancel()
    await asyncio.sleep(0)
    assert volume.asked == 1
    volume.gate.set()
    told = await first
    assert told is not None, "it was so when that request came"
    answers = await asyncio.gather(*later[1:])
    assert answers == [None] * 4, "what was written before a request came is seen by it"
    assert volume.asked == 2
    assert not hot._asked
    assert not hot._next


async def test_a_question_that_fails_fails_only_those_who_share_it() -> None:
    volume, hot = Versions(), HotFiles()
    hot.keep("f", HotFile(7, 1, {}, b"old"))
    volume.gate.set()
    volume.failure = NoMajority("nobody answers")
    with pytest.raises(NoMajority):
        await hot.get(volume, "f", ME)  # type: ignore[arg-type]
    volume.failure = None
    assert await hot.get(volume, "f", ME) is not None  # type: ignore[arg-type]
