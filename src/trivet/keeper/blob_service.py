"""Blobs to and from the banks: written to all, done when two have them, read from whoever has a good copy.

Rule: nothing that comes from a bank is believed before it matches the root in the record that names it.
Rule: a copy that is missing or damaged is reported to the repair queue, whoever notices it.
"""

import asyncio
from collections.abc import Callable, Sequence

from trivet.errors import NoMajority, NoSpace, ReplicaError
from trivet.io.link import Body, LinkLost
from trivet.io.near_blobs import ASKED_AT_ONCE, NearBlobs
from trivet.keeper.bank_links import PROMPT_S, Fleet, ServerLink
from trivet.quorum.placement import belongs, ranking
from trivet.wire.bank_messages import BlobData, BlobPlaces, FindBlobs, GetBlob, PutBlob
from trivet.wire.blobs import BlobRef, is_intact, piece_range, root_of, sub_hashes
from trivet.wire.journal_messages import BankMessage, Refusal

PUT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 1.0


class BlobService:
    """The keeper's way to blob bytes.

    `on_stored(name, bank)` is called each time one more bank has a blob that is being written;
    `on_bad_copy(ref, server)` whenever a bank turns out to lack a good copy, which belongs on `server`.
    """

    def __init__(
        self,
        fleet: Fleet,
        new_name: Callable[[], int],
        on_stored: Callable[[int, int], None],
        on_bad_copy: Callable[[BlobRef, ServerLink], None],
    ) -> None:
        self._fleet = fleet
        self.new_name = new_name
        self._on_stored = on_stored
        self._on_bad_copy = on_bad_copy
        self._late: set[asyncio.Task[bool]] = set()
        self._near = NearBlobs()
        self.bytes_read = 0
        self.copies_read = self.copies_verified = 0
        self.bytes_written = 0

    async def close(self) -> None:
        """Cancel the writes that two banks no longer need."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        self._near.close()

    async def put(self, name: int, data: bytes | memoryview) -> BlobRef:
        """Write `data` under `name` to every bank and return when two have handed it to their system.

        The third goes on behind. Raises NoMajority when two banks can't be had, NoSpace when they are full.
        """
        hashes = sub_hashes(data)
        ref = BlobRef(name, len(data), root_of(len(data), hashes))
        request = PutBlob(name, hashes, False)
        refusals: list[Refusal] = []
        tasks = {
            asyncio.create_task(self._put_in_bank(bank, ref, request, data, refusals))
            for bank in range(len(self._fleet.banks))
        }
        self._late |= tasks
        for task in tasks:
            task.add_done_callback(self._late.discard)
        good = 0
        pending = tasks
        while good < self._fleet.majority and pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            good += sum(task.result() for task in done)
        if good < self._fleet.majority:
            if sum(refusal.reason == "space" for refusal in refusals) >= self._fleet.majority:
                raise NoSpace("two banks have no room left")
            raise NoMajority("fewer than two banks took the data")
        self.bytes_written += len(data)
        return ref

    async def _put_in_bank(
        self, bank: int, ref: BlobRef, request: PutBlob, data: bytes | memoryview, refusals: list[Refusal]
    ) -> bool:
        """Write to the server the name belongs on, or to the next that is up; tell whether one has it."""
        for server in self.servers_for(ref.name, bank):
            try:
                reply, _ = await server.ask_blobs(request, data, timeout_s=PUT_TIMEOUT_S)
            except LinkLost:
                server.drop()
                continue
            if not isinstance(reply, Refusal):
                self._on_stored(ref.name, server.base)
                return True
            refusals.append(reply)
        self._on_bad_copy(ref, self.home_of(ref.name, bank))
        return False

    def servers_for(self, name: int, bank: int) -> Sequence[ServerLink]:
        """Return the servers of `bank` that are up, the one where `name` belongs first."""
        by_port = {server.port: server for server in self._fleet.banks[bank]}
        return [by_port[port] for port in ranking(name, list(by_port)) if by_port[port].is_up]

    def home_of(self, name: int, bank: int) -> ServerLink:
        """Return the server of `bank` where `name` belongs, up or not."""
        by_port = {server.port: server for server in self._fleet.banks[bank]}
        return by_port[belongs(name, list(by_port))]

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset` of a blob, from the first bank that has a good copy of them.

        Raises ReplicaError if servers that might have one can't be asked, NoMajority if no bank has one.
        """
        start, end = piece_range(ref.size, offset, size)
        unreachable = 0
        banks = len(self._fleet.banks)
        first = self._near.bank_of(ref.name)
        if first is not None:
            near = await self._near.read(ref, start, end)
            if near is not None:
                self.copies_read += 1
                self.bytes_read += len(near)
                return near[offset - start : offset - start + size]
        begin = ref.name if first is None else first
        turns = [(begin + turn) % banks for turn in range(banks)]
        for bank in sorted(turns, key=self._is_silent):
            body = await self._read_in_bank(bank, ref, start, end)
            if body is not None:
                self.bytes_read += len(body)
                return bytes(body[offset - start : offset - start + size])
            unreachable += not self._whole_bank_is_up(bank)
        if unreachable:
            raise ReplicaError(f"no good copy of blob {ref.name} on the banks that answer")
        raise NoMajority(f"no bank has a good copy of blob {ref.name}")

    def _is_silent(self, bank: int) -> bool:
        return any(server.is_silent(PROMPT_S) for server in self._fleet.banks[bank])

    def _whole_bank_is_up(self, bank: int) -> bool:
        return all(server.is_up for server in self._fleet.banks[bank])

    async def _read_in_bank(self, bank: int, ref: BlobRef, start: int, end: int) -> bytes | memoryview | None:
        """Return the verified pieces from `start` to `end`, or None after reporting a copy that is bad."""
        servers = self.servers_for(ref.name, bank)
        # The first once more: the blob may have come home after it was asked, and before the others were.
        for server in [*servers, servers[0]] if len(servers) > 1 else servers:
            body = await self._ask_for(server, ref, start, end)
            if body is not None:
                self._ask_where(server, ref.name)
                return body
        if servers:
            self._on_bad_copy(ref, servers[0])
        return None

    def _ask_where(self, server: ServerLink, name: int) -> None:
        """Have `server` tell, some time, where `name` and those named after it stand, if it is near."""
        if server.is_near and server.blobs is not None:

            def on_reply(message: BankMessage, body: Body) -> None:
                if isinstance(message, BlobPlaces):
                    self._near.learn(server.bank, server.socket.parent, message)

            server.blobs.send_request(FindBlobs(name, ASKED_AT_ONCE), b"", on_reply)

    async def _ask_for(
        self, server: ServerLink, ref: BlobRef, start: int, end: int
    ) -> bytes | memoryview | None:
        """Return the verified pieces from `start` to `end` on `server`, None without a good copy."""
        try:
            reply, body = await server.ask_blobs(
                GetBlob(ref.name, start, end - start), timeout_s=READ_TIMEOUT_S, enough=1
            )
        except LinkLost:
            server.give_up()
            return None
        if not isinstance(reply, BlobData) or not reply.found:
            return None
        self.copies_read += 1
        whole = reply.start == start and len(body) == end - start
        if not whole or not is_intact(ref, reply.hashes, start, body):
            return None
        self.copies_verified += 1
        return body

    async def body_on(self, ref: BlobRef, server: ServerLink) -> bytes | None:
        """Return the bytes that `server` holds under the name of `ref`, right or wrong; None without any."""
        try:
            reply, body = await server.ask_blobs(
                GetBlob(ref.name, 0, ref.size), timeout_s=READ_TIMEOUT_S, enough=1
            )
        except LinkLost:
            server.give_up()
            return None
        self.copies_read += 1
        return bytes(body) if isinstance(reply, BlobData) and reply.found else None

    async def read_elsewhere(self, ref: BlobRef, bad: ServerLink) -> tuple[bytes, ServerLink]:
        """Return the whole verified blob from any server but `bad`, and that server.

        A copy on another server of the same bank serves too. Raises as `read` does.
        """
        for bank in range(len(self._fleet.banks)):
            for server in self.servers_for(ref.name, bank):
                if server is bad:
                    continue
                body = await self._ask_for(server, ref, 0, ref.size)
                if body is not None:
                    return bytes(body), server
        raise NoMajority(f"no bank that answers has a good copy of blob {ref.name}")

    async def replace(self, ref: BlobRef, data: bytes, server: ServerLink) -> bool:
        """Write a verified copy over a bad one on `server`; tell whether it was read back right."""
        return await self.put_copy(ref, data, server) and await self.is_good(ref, server)

    async def put_copy(self, ref: BlobRef, data: bytes, server: ServerLink) -> bool:
        """Write a verified copy to `server`; tell whether it took it."""
        hashes = sub_hashes(data)
        assert root_of(len(data), hashes) == ref.root, "a repair must start from the right bytes"
        try:
            reply, _ = await server.ask_blobs(PutBlob(ref.name, hashes, True), data, timeout_s=PUT_TIMEOUT_S)
        except LinkLost:
            return False
        return not isinstance(reply, Refusal)

    async def is_good(self, ref: BlobRef, server: ServerLink) -> bool:
        """Tell whether the whole copy on `server` is what `ref` names."""
        return await self._ask_for(server, ref, 0, ref.size) is not None
