"""A real bank server as a child process, and a keeper's side of the protocol in a few lines."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bank_in_process import BankInProcess
from free_ports import free_bases
from trivet.io.link import Body, Link
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.wire.bank_messages import PutBlob
from trivet.wire.blobs import root_of, sub_hashes
from trivet.wire.entries import GENESIS_HASH, EntryBody, Epoch, RecordOp, seal_entry
from trivet.wire.journal_messages import (
    Admit,
    AdoptBegin,
    AdoptEnd,
    Append,
    BankMessage,
    Hello,
    Identity,
    Prepare,
    Reset,
)

_RUN = "import sys; from pathlib import Path; from trivet.bank.server import run_bank; "
_RUN += "sys.exit(run_bank(int(sys.argv[1]), Path(sys.argv[2])))"
DEADLINE_S = 10.0


class BankProcess:
    """The server on one port of a volume."""

    def __init__(self, state: Path, port: int) -> None:
        self.state = state
        self.port = port
        self.folder = VolumeFolder(state)
        self.key = self.folder.read_key()
        config = self.folder.read_config()
        self.own = self.folder.server_path(config.bases[config.bank_of(port)], port)
        self._child: subprocess.Popen[bytes] | None = None

    @classmethod
    def of_new_volume(cls, state: Path, servers: int = 1) -> Self:
        """Make a volume and return the process (not started) of its first server."""
        bases = free_bases(servers)
        VolumeFolder(state).create(VolumeConfig("00" * 8, bases, servers))
        return cls(state, bases[0])

    @property
    def pid(self) -> int:
        """The child's process id."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        command = [sys.executable, "-c", _RUN, str(self.port), str(self.state)]
        self._child = subprocess.Popen(command, stderr=subprocess.PIPE)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except ConnectionRefusedError:
                if self._child.poll() is not None:
                    assert self._child.stderr is not None
                    raise AssertionError(self._child.stderr.read().decode()) from None

    def stop(self) -> int:
        """Ask the server to stop and return its exit code."""
        assert self._child is not None
        self._child.terminate()
        return self.wait()

    def kill(self) -> None:
        """Kill the server the hard way."""
        assert self._child is not None
        self._child.kill()
        self.wait()

    def wait(self) -> int:
        """Return the exit code once the server has ended."""
        assert self._child is not None
        code = self._child.wait(DEADLINE_S)
        if self._child.stderr is not None:
            self._child.stderr.close()
        return code

    def end(self) -> None:
        """Make sure that no process is left."""
        if self._child is not None and self._child.poll() is None:
            self.kill()

    def log(self) -> str:
        """Return what the server logged so far."""
        return (self.own / "server.log").read_text()


class Keeper:
    """Just enough of a keeper: one link, an epoch, a log that it authors."""

    def __init__(self, server: BankProcess | BankInProcess, link: Link | BankInProcess, epoch: Epoch) -> None:
        self.server = server
        self.link = link
        self.epoch = epoch
        self.head = 0
        self.head_hash = GENESIS_HASH

    @classmethod
    async def connect(cls, server: BankProcess, number: int = 1) -> Self:
        """Connect to `server` as the keeper of epoch `number`."""
        link = await Link.connect(("127.0.0.1", server.port), server.key, timeout_s=DEADLINE_S)
        return cls(server, link, Epoch(number, number))

    async def ask(self, message: BankMessage, body: Body = b"") -> BankMessage:
        """Return the reply without its body."""
        return (await self.link.request(message, body, timeout_s=DEADLINE_S))[0]

    async def identity(self) -> Identity:
        """Return what the server says of itself."""
        identity = await self.ask(Hello("journal"))
        assert isinstance(identity, Identity)
        return identity

    async def form(self) -> None:
        """Make an empty server a voter with an empty log of our epoch."""
        await self.ask(Prepare(self.epoch))
        identity = await self.ask(Reset(self.epoch, 0))
        assert isinstance(identity, Identity)
        await self.ask(AdoptBegin(self.epoch, 0, GENESIS_HASH))
        await self.ask(AdoptEnd(0, GENESIS_HASH))
        admitted = await self.ask(Admit(identity.incarnation, self.epoch))
        assert isinstance(admitted, Identity)
        assert admitted.standing == "voter"

    def seal(self, ops: Sequence[RecordOp], durable: int = 0) -> tuple[Append, bytes]:
        """Return the append of the next entry, with `ops`, not synced."""
        entry = seal_entry(
            self.server.key, self.head + 1, self.epoch, self.head_hash, EntryBody(durable, list(ops))
        )
        append = Append(self.epoch, self.head, self.head_hash, durable, False)
        self.head, self.head_hash = entry.slot, entry.hash
        return append, entry.raw

    async def append(self, ops: Sequence[RecordOp], *, sync: bool = False, durable: int = 0) -> BankMessage:
        """Append one entry with `ops` and return the reply."""
        append, raw = self.seal(ops, durable)
        append.sync = sync
        return await self.ask(append, raw)

    async def heartbeat(self, durable: int) -> BankMessage:
        """Tell the server the durable mark."""
        return await self.ask(Append(self.epoch, self.head, self.head_hash, durable, True))

    async def put_blob(self, name: int, data: bytes, *, replace: bool = False) -> BankMessage:
        """Store a blob and return the reply."""
        return await self.ask(PutBlob(name, sub_hashes(data), replace), data)


def root_for(data: bytes) -> bytes:
    """Return the root that a record naming `data` would hold."""
    return root_of(len(data), sub_hashes(data))


def random_blob(size: int) -> bytes:
    """Return `size` random bytes."""
    return os.urandom(size)
