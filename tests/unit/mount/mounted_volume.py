"""Serves a real volume (over banks in memory) on a real mount from a thread, for tests to use the folder.

Rule: a test that could fault a page of the mount does so in another process: here it would hold the lock of
the interpreter against the thread that serves it.
Rule: this process starts others without vfork: up to Python 3.11.3 it holds that lock until the child runs
its program, and before that the child goes to its folder and closes files, which may lie in the mount.
"""

import asyncio
import inspect
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from memory_ports import MemoryBanks
from trivet.keeper.local_volume import LocalVolume
from trivet.mount.session import mounted

Call = tuple[object, ...]
subprocess._USE_VFORK = False


class RecordedVolume:
    """Passes every call on to `volume` and notes it: (name, arguments...), a handle told as its inode."""

    def __init__(self, volume: LocalVolume) -> None:
        self._volume = volume
        self.numbers = volume.numbers
        self._inos: dict[int, int] = {}
        self.calls: list[Call] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        operation = getattr(self._volume, name)
        if not inspect.iscoroutinefunction(operation):  # a word between the kernel's door and the volume
            return operation

        async def recorded(*arguments: object, **named: object) -> object:
            answer = await operation(*arguments, **named)
            if name == "open":
                self._inos[answer] = arguments[0]
            if name == "create":
                self._inos[answer[1]] = answer[0].ino
            told = list(arguments)
            if name in ("read", "write", "flush", "fsync", "release"):
                told[0] = self._inos[arguments[0]]
            self.calls.append((name, *told, *named.values()))
            return answer

        return recorded


class Served:
    """A volume behind a real mount; `failure` is what ended the serving, None if it ended well."""

    def __init__(self, banks: MemoryBanks, folder: Path, read_only: bool = False) -> None:
        self.banks = banks
        self.read_only = read_only
        self.folder = folder
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self.volume: RecordedVolume
        self._up = threading.Event()
        self._loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as failure:  # noqa: BLE001  a test looks at whatever it was
            self.failure = failure
        finally:
            self._loop.close()
            self.ended.set()
            self._up.set()

    async def _serve(self) -> None:
        local = self.banks.fresh() if not self.banks.rows else self.banks.volume(self.banks.loaded()[0])
        await local.start()
        self.volume = RecordedVolume(local)
        try:
            async with mounted(self.volume, self.folder, "trivet:test", read_only=self.read_only) as session:
                self._up.set()
                waits = [asyncio.ensure_future(w()) for w in (self._stop.wait, session.unmounted.wait)]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
        finally:
            await local.close()

    def start(self) -> None:
        """Serve; returns once the folder is mounted."""
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        """Unmount, unless that has happened already, and end."""
        if not self.ended.is_set():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def served(banks: MemoryBanks, folder: Path, *, read_only: bool = False) -> Iterator[Served]:
    """Mount the volume that `banks` hold on `folder` for the time of the block."""
    running = Served(banks, folder, read_only)
    running.start()
    try:
        yield running
    finally:
        running.stop()
