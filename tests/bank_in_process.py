"""A bank server without its process and socket: the same stores and the same answers, quick to break."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trivet.bank.place import Place, lock_folder
from trivet.bank.requests import Requests
from trivet.io.link import Body, Reply
from trivet.io.object_store import ObjectStore
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.journal_messages import BankMessage

PORT = 7000


class BankInProcess:
    """The first server of a volume in `state`; stands where a link and a server process stand."""

    def __init__(self, state: Path, port: int = PORT, store: ObjectStore | None = None) -> None:
        folder = VolumeFolder(state)
        if not folder.config_path.exists():
            folder.create(VolumeConfig("00" * 8, [7000, 8000, 9000], 2))
        config = folder.read_config()
        self.key = folder.read_key()
        self.volume = config.volume
        self.base = config.bases[config.bank_of(port)]
        self.own = folder.server_path(self.base, port)
        self.port = port
        self.store = store
        self.failures: list[BaseException] = []
        self.place: Place
        self._pool: ThreadPoolExecutor

    async def open(self) -> None:
        """Start, on the running loop."""
        self._lock = lock_folder(self.own)
        self._pool = ThreadPoolExecutor(4)
        is_first = self.port == self.base
        self.place = Place(
            self.own, self.volume, self.port, self.key, self._pool, first=is_first, store=self.store
        )
        self._requests = Requests(
            self.place, self.own, self.key, self._pool, on_failure=self._fail, on_ended=self._note
        )

    def _fail(self, error: Exception) -> None:
        self.failures.append(error)

    def _note(self, task: asyncio.Future[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and error not in self.failures:
            self.failures.append(error)

    async def request(self, message: BankMessage, body: Body = b"", *, timeout_s: float = 10) -> Reply:
        """Return (reply, body) as a link would."""
        answer = self._requests.handle(message, body)
        if not isinstance(answer, BankMessage | tuple):
            async with asyncio.timeout(timeout_s):
                answer = await answer
        return answer if isinstance(answer, tuple) else (answer, b"")

    async def stop(self) -> None:
        """Stop cleanly."""
        await self._requests.stop()
        self._close()

    async def crash(self) -> None:
        """Stop as kill -9 does: what was written is there, nothing is synced or said to be."""
        records, tending = self.place.records, self._requests._tending
        records._applying.cancel()
        tending.cancel()
        await asyncio.gather(records._applying, tending, return_exceptions=True)
        await records._owned.stop()
        records._table.close()
        self._close()

    def _close(self) -> None:
        self.place.close()
        self._pool.shutdown()
        self._lock.close()
