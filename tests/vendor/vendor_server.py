"""The vendor on a real port, in a thread of its own; or behind a client without any socket."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

import h11
import httpx2

from vendor_drive import VendorDrive
from vendor_face import Asked, Quota, VendorFace
from vendor_faults import FaultLayer

STEP_BYTES = 256 << 10


class Vendor:
    """A vendor under test: its drive, its face, its faults, and where it is."""

    def __init__(self, drive: VendorDrive | None = None, quota: Quota | None = None, seed: int = 0) -> None:
        self.drive = drive or VendorDrive()
        self.face = VendorFace(self.drive, quota)
        self.faults = FaultLayer(self.face, seed)
        self.url = "http://vendor.test"

    def put(self, name: str, data: bytes, parent: str = "root") -> str:
        """Let somebody put a file there by other ways; return its id."""
        return self.drive.create({"name": name, "parents": [parent]}, data).id

    def folder(self, name: str, parent: str = "root") -> str:
        """Let somebody make a folder there; return its id."""
        kind = "application/vnd.google-apps.folder"
        return self.drive.create({"name": name, "parents": [parent], "mimeType": kind}, None).id

    def named(self, name: str) -> list[bytes | None]:
        """Return the contents of all files of this name that are not in the trash."""
        files = list(self.drive.files.values())  # in one step: another thread changes them
        return [one.data for one in files if one.name == name and not self.drive.is_trashed(one)]


async def _serve(vendor: Vendor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    link = h11.Connection(h11.SERVER)
    with contextlib.suppress(ConnectionError, h11.RemoteProtocolError):
        while (asked := await _request(link, reader)) is not None:
            outcome = vendor.faults.take(asked)
            await asyncio.sleep(outcome.wait_s)
            if outcome.answer is None:
                break
            answer = outcome.answer
            headers = [*answer.headers.items(), ("content-length", str(len(answer.body)))]
            writer.write(link.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
            body = answer.body if outcome.after is None else answer.body[: outcome.after]
            for at in range(0, len(body), STEP_BYTES):
                writer.write(link.send(h11.Data(data=body[at : at + STEP_BYTES])) or b"")
                await writer.drain()
            if outcome.after is not None:
                break
            writer.write(link.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            if link.our_state is h11.MUST_CLOSE:
                break
            link.start_next_cycle()
    writer.close()


async def _request(link: h11.Connection, reader: asyncio.StreamReader) -> Asked | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = link.next_event()
        if event is h11.NEED_DATA:
            link.receive_data(await reader.read(STEP_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Asked(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None


@contextlib.contextmanager
def serving(vendor: Vendor) -> Iterator[Vendor]:
    """Serve `vendor` on a free loopback port while the block runs; its `url` says where."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def main() -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await _serve(vendor, reader, writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=STEP_BYTES * 4)
        vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    task = loop.create_task(main())

    def work() -> None:
        asyncio.set_event_loop(loop)
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        rest = asyncio.all_tasks(loop)
        for one in rest:
            one.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=work, name="vendor")
    thread.start()
    try:
        assert ready.wait(20)
        yield vendor
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)


class VendorTransport(httpx2.AsyncBaseTransport):
    """Lets a client of httpx2 talk to a vendor without sockets, so that time may be virtual."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See the class of httpx2."""
        body = await request.aread()
        path = request.url.raw_path.decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        outcome = self._vendor.faults.take(Asked(request.method, path, headers, body))
        waits = request.extensions.get("timeout", {}).get("read")
        if waits is not None and outcome.wait_s > waits:
            await asyncio.sleep(waits)
            raise httpx2.ReadTimeout("the vendor does not answer", request=request)
        await asyncio.sleep(outcome.wait_s or 0.05)
        if outcome.answer is None:
            raise httpx2.ReadError("the connection was cut", request=request)
        answer = outcome.answer
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        stream = _Body(answer.body, outcome.after, request)
        return httpx2.Response(answer.status, headers=headers, stream=stream)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, data: bytes, after: int | None, request: httpx2.Request) -> None:
        self._data, self._after, self._request = data, after, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data if self._after is None else self._data[: self._after]
        if self._after is not None:
            raise httpx2.ReadError("the connection was cut", request=self._request)
