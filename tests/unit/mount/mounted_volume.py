"""Serves a volume on a real mount from a thread, so that a test may use the folder with system calls."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from trivet.mount.session import MountSession, mounted
from trivet.volume.interface import Volume


class Served:
    """A volume behind a real mount; `failure` is what ended the serving, None if it ended well."""

    def __init__(self, volume: Volume, folder: Path) -> None:
        self.volume = volume
        self.folder = folder
        self.failure: BaseException | None = None
        self.session: MountSession | None = None
        self.ended = threading.Event()
        self._up = threading.Event()
        self.loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as failure:  # noqa: BLE001  a test looks at whatever it was
            self.failure = failure
        finally:
            self.loop.close()
            self._up.set()
            self.ended.set()

    async def _serve(self) -> None:
        async with mounted(self.volume, self.folder, "trivet:test") as session:
            self.session = session
            self._up.set()
            waits = [asyncio.ensure_future(w()) for w in (self._stop.wait, session.unmounted.wait)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(10)

    def stop(self) -> None:
        if not self.ended.is_set():
            self.call(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def call(self, what: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(what)


@contextmanager
def served(volume: Volume, folder: Path) -> Iterator[Served]:
    """Mount `volume` on `folder` for the time of the block."""
    running = Served(volume, folder)
    running.start()
    try:
        yield running
    finally:
        running.stop()
