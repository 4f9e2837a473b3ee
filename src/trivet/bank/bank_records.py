"""The records of a bank as any of its servers sees them: its own, or those of the bank's acceptor by link.

Rule: what comes from here only says which path is which; what is stored under it is judged by nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from trivet.bank.record_store import RecordStore
from trivet.errors import ReplicaError
from trivet.io.link import Link, LinkLost
from trivet.quorum.acceptor import Acceptor
from trivet.wire.bank_messages import GetRecords, ListRecords, Rows
from trivet.wire.journal_messages import BankMessage, Hello, Identity

HOST = "127.0.0.1"
_TIMEOUT_S = 2.0


class BankRecords(Protocol):
    """Where paths are looked up."""

    async def values(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the newest values of those `keys` that have one."""

    async def list_under(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` (key, value) whose keys begin with `prefix`."""


class OwnRecords:
    """The records of this server itself."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    async def values(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the newest values of those `keys` that have one."""
        rows = self._store.get(keys)
        if isinstance(rows, Awaitable):
            rows = await rows
        return {row.key: row.value for row in rows.rows}

    async def list_under(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` (key, value) whose keys begin with `prefix`."""
        keys = await self._store.keys_under(prefix, limit)
        values = await self.values(keys)
        return [(key, values[key]) for key in keys if key in values]


class AcceptorRecords:
    """The records of the acceptor among the servers on `ports`, asked over one link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def is_still(self) -> bool:
        """Tell whether the server at the other end still is an acceptor that answers."""
        try:
            identity, _ = await self._link.request(Hello("blobs"), timeout_s=_TIMEOUT_S)
        except LinkLost:
            return False
        return isinstance(identity, Identity) and identity.standing != "blobs"

    async def values(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the newest values of those `keys` that have one."""
        return {row.key: row.value for row in (await self._rows(GetRecords(list(keys)))).rows}

    async def list_under(self, prefix: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return up to `limit` (key, value) whose keys begin with `prefix`, as far as they are applied."""
        rows = (await self._rows(ListRecords(-1, prefix, limit))).rows
        return [(row.key, row.value) for row in rows if row.key.startswith(prefix)]

    async def close(self) -> None:
        """Close the link."""
        await self._link.close()

    async def _rows(self, message: BankMessage) -> Rows:
        rows, _ = await self._link.request(message, timeout_s=_TIMEOUT_S)
        if not isinstance(rows, Rows):
            raise ReplicaError("the bank's records can't be read now")
        return rows


class RecordsOfBank:
    """Finds the records of this server's bank: its own while it is the acceptor, else over a link.

    `other_ports` tells, and may block, where its other servers are: some may have been added.
    """

    def __init__(
        self,
        store: RecordStore,
        acceptor: Acceptor,
        other_ports: Callable[[], Sequence[int]],
        volume_key: bytes,
    ) -> None:
        self._own = OwnRecords(store)
        self._acceptor = acceptor
        self._ports = other_ports
        self._key = volume_key
        self._linked: AcceptorRecords | None = None
        self._finding = asyncio.Lock()

    async def find(self) -> BankRecords:
        """Return where this bank's records can be read now, or raise ReplicaError."""
        if self._acceptor.meta.standing != "blobs":
            return self._own
        async with self._finding:
            if self._linked is not None and await self._linked.is_still():
                return self._linked
            await self.close()
            for port in await asyncio.to_thread(self._ports):
                self._linked = await self._link_to(port)
                if self._linked is not None:
                    return self._linked
        raise ReplicaError("no server of this bank that keeps records answers: try again later")

    async def _link_to(self, port: int) -> AcceptorRecords | None:
        try:
            link = await Link.connect((HOST, port), self._key, timeout_s=_TIMEOUT_S)
        except LinkLost:
            return None
        records = AcceptorRecords(link)
        if await records.is_still():
            return records
        await records.close()
        return None

    async def close(self) -> None:
        """Close the link, if there is one."""
        linked, self._linked = self._linked, None
        if linked is not None:
            await linked.close()
