"""One server of a bank as a process: listens, tells protocols apart, stops cleanly or fails at once.

Rule: what can't be wrong goes on; what can't be believed any more ends the process with exit code 3.
Rule: loopback only, unless the volume is spread over hosts: then TLS only, and no XML-RPC.
"""

import asyncio
import contextlib
import functools
import gc
import ipaddress
import logging
import os
import resource
import signal
import socket
import sqlite3
import ssl
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from trivet.bank.bank_records import RecordsOfBank
from trivet.bank.data_requests import Result
from trivet.bank.opening import open_place
from trivet.bank.place import Place, lock_folder
from trivet.bank.requests import Requests
from trivet.bank.server_log import log_to
from trivet.bank.store_thread import StoreThread
from trivet.bank.stored_paths import StoredPaths
from trivet.bank.xmlrpc_door import FIRST_BYTES, Call, XmlRpcDoor
from trivet.errors import ConfigError, CorruptReplica
from trivet.io.link import Body, Peer, serve_link
from trivet.io.processors import run_apart
from trivet.io.reach import LOOPBACK
from trivet.io.tls import public_socket, server_tls, tls_options
from trivet.io.unix_socket import bound_socket
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.auth import MAGIC
from trivet.wire.bank_messages import Touched
from trivet.wire.journal_messages import BankMessage, Hello

log = logging.getLogger(__name__)

CONNECTIONS = 64
FIRST_REQUEST_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 5.0
_WATCH_EVERY_S = 0.5
_FULL_PAUSE_S = 5.0
_SNIFF_BYTES = 5
_READ_LIMIT_BYTES = 4 << 20
_THREADS = 4
_SWITCH_INTERVAL_S = 0.0005
_COLLECT_EVERY = 50_000
#: An acknowledgement waits for the first two banks as long as all keep up (`quorum/reign.py`).
_BANKS_WAITED_FOR = 2
FAILED_EXIT_CODE = 3
BUG_EXIT_CODE = 70


class BankServer:
    """Serves the stores of one place; `failed` ends the process."""

    def __init__(
        self,
        place: Place,
        volume_key: bytes,
        folder: Path,
        pool: ThreadPoolExecutor,
        *,
        neighbours: Callable[[], Sequence[int]],
        xmlrpc: bool,
    ) -> None:
        self._place = place
        self._key = volume_key
        self._requests = Requests(
            place, folder, volume_key, pool, on_failure=self._fail, on_ended=self._ended
        )
        self._peers: set[Peer] = set()
        self._foreign = StoreThread("foreign", place.foreign)
        self._bank = RecordsOfBank(place.records, place.acceptor, neighbours, volume_key)
        paths = StoredPaths(
            place.acceptor, place.records, place.blobs, self._foreign, self._bank, self._tell_touched
        )
        calls: dict[str, Call] = {"put": paths.put, "get": paths.get, "print_content": paths.print_content}
        self._door = XmlRpcDoor(calls if xmlrpc else None)
        self._connections: set[asyncio.Task[None]] = set()

    def _fail(self, error: Exception) -> NoReturn:
        self._place.record_failure(error)
        logging.shutdown()
        os._exit(FAILED_EXIT_CODE)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        """End the process if what `task` did was a bug: nothing it left behind can be relied on."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _end_of_bug(error)

    def _nobody_cared(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, OSError):
            log.info("%s: %r", context["message"], error)
        else:
            _end_of_bug(error)

    def _tell_touched(self, path: bytes) -> None:
        for peer in self._peers:
            with contextlib.suppress(OSError):  # it just went away
                peer.send_event(Touched(path))

    async def run(self, listener: socket.socket, local: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Serve on `listener` (TCP; `tls`) and `local` (unix) until SIGTERM or SIGINT, then stop cleanly."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._nobody_cared)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        watching = asyncio.create_task(self._watch())
        watching.add_done_callback(self._ended)
        servers = [
            await asyncio.start_server(
                self._connected, sock=listener, limit=_READ_LIMIT_BYTES, **tls_options(tls)
            ),
            await asyncio.start_unix_server(self._connected, sock=local, limit=_READ_LIMIT_BYTES),
        ]
        await stopping.wait()
        for server in servers:
            server.close()
        watching.cancel()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(watching, *self._connections, return_exceptions=True)
        await self._bank.close()
        await self._foreign.stop()
        try:
            await self._requests.stop()
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        self._place.close()
        log.info("stopped cleanly")

    async def _watch(self) -> None:
        """Keep a journal file ahead, and notice when somebody takes the journal away."""
        while True:
            try:
                await self._requests.make_room()
            except CorruptReplica as error:
                self._fail(error)
            except OSError as error:
                log.warning("no room for a journal file ahead: %s", error)
                await asyncio.sleep(_FULL_PAUSE_S)
            await asyncio.sleep(_WATCH_EVERY_S)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTIONS:
            log.warning("refused a connection: %s are open", CONNECTIONS)
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(self._ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Find out by the first bytes what a peer speaks, and speak that."""
        name = writer.get_extra_info("peername")  # empty for a unix socket
        mine: set[Peer] = set()

        def handle(message: BankMessage, body: Body, peer: Peer) -> Result:
            if peer not in mine:
                mine.add(peer)
                deadline.reschedule(None)
            if isinstance(message, Hello) and message.purpose == "journal":
                self._peers.add(peer)
            return self._requests.handle(message, body)

        try:
            async with asyncio.timeout(FIRST_REQUEST_TIMEOUT_S) as deadline:
                first = await reader.readexactly(_SNIFF_BYTES)
                if first == MAGIC[:_SNIFF_BYTES]:
                    await serve_link(reader, writer, self._key, handle, first=first)
                elif first in FIRST_BYTES and name:  # the door is on the port alone
                    deadline.reschedule(None)
                    await self._door.serve(reader, writer, first)
                else:
                    log.warning("closed the connection of %s: it does not speak trivet's protocol", name)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("%s said nothing we know: %r", name, error)
        finally:
            self._peers -= mine
            await _close(writer)


def _end_of_bug(error: BaseException) -> NoReturn:
    log.critical("a bug ended this server", exc_info=error)
    logging.shutdown()
    os._exit(BUG_EXIT_CODE)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Let what was answered leave before the connection ends."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await writer.wait_closed()


def run_bank(
    port: int, state_dir: Path, *, xmlrpc: bool = True, host: str | None = None, blobs: str | None = None
) -> int:
    """Serve the bank server on `port` of the volume in `state_dir` until it is told to stop; return 0.

    It listens on the address `host`, else on loopback, or, in a volume with hosts, on all addresses.
    `xmlrpc` opens the XML-RPC door on the same port; `blobs` is the URL of an object store for the blobs, if
    it is not the one the volume names. Raises ConfigError when the server can't begin.
    """
    folder = VolumeFolder(state_dir)
    config = folder.read_config()
    volume_key = folder.read_key()
    bank = config.bank_of(port)
    base = config.bases[bank]
    own = folder.server_path(base, port)
    path = folder.server_socket(base, port)
    tls = _protection(folder, config.host_of(port), host, xmlrpc=xmlrpc)
    host = ("" if tls else LOOPBACK) if host is None else host
    # The port last: whoever finds it open finds the socket open as well, not one that a killed server left.
    with lock_folder(own), _listen_locally(path) as local, _listen(host, port) as listener:
        log_to(own)
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        if bank < _BANKS_WAITED_FOR:
            run_apart(bank)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with ThreadPoolExecutor(_THREADS, "disk") as pool:
            place = open_place(folder, config, port, volume_key, pool, blobs)
            log.info("server %s of volume %s: %s", port, config.volume, place.acceptor.meta.standing)
            server = functools.partial(BankServer, place, volume_key, own, pool)
            gc.collect()
            gc.freeze()
            gc.set_threshold(_COLLECT_EVERY)  # hot paths make few cycles; looking for them took 5 % of a core
            neighbours = functools.partial(_neighbours, folder, bank, port)
            uvloop.run(_serve(server, neighbours, xmlrpc, listener, local, tls))
        path.unlink(missing_ok=True)
    return 0


def _neighbours(folder: VolumeFolder, bank: int, port: int) -> list[int]:
    return [other for other in folder.read_config().ports()[bank] if other != port]


async def _serve(
    make: Callable[..., BankServer],
    neighbours: Callable[[], Sequence[int]],
    xmlrpc: bool,
    listener: socket.socket,
    local: socket.socket,
    tls: ssl.SSLContext | None,
) -> None:
    await make(neighbours=neighbours, xmlrpc=xmlrpc).run(listener, local, tls)


def _protection(
    folder: VolumeFolder, named: str | None, host: str | None, *, xmlrpc: bool
) -> ssl.SSLContext | None:
    """Return the TLS of the host `named` in the volume, None for loopback; else ConfigError."""
    if named is None:
        if host is not None and not ipaddress.ip_address(host).is_loopback:
            raise ConfigError(
                f"a bank listens on loopback only, not on {host}: only a volume that was made with "
                "`trivet volume init --bank PORT=HOST` has the certificates that other addresses need"
            )
        return None
    if xmlrpc:
        raise ConfigError("the XML-RPC door is for one machine: leave --xmlrpc away, this volume has hosts")
    return server_tls(folder, named)


def _listen_locally(path: Path) -> socket.socket:
    """Listen on the unix socket `path`; what a killed server left there goes, its folder is locked by us."""
    path.unlink(missing_ok=True)
    local = bound_socket(path)
    local.listen(CONNECTIONS)
    return local


def _listen(host: str, port: int) -> socket.socket:
    try:
        return public_socket(port, host)
    except OSError as error:
        raise ConfigError(
            f"port {port} can't be used ({os.strerror(error.errno or 0)}): stop what listens there, "
            "or make a volume with other ports"
        ) from error
