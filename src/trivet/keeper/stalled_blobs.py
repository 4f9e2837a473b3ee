"""What holds the log up: blobs that a bank lost with a server, or never got, of entries not durable yet.

Rule: looked at only while the durable mark stands still.
Rule: a bank that has good copies after all counts again, one that lacks some is given them first.
"""

import asyncio
import logging
from collections.abc import Sequence

from trivet.errors import NoMajority, ReplicaError
from trivet.io.clock import steady_s
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.blob_service import BlobService
from trivet.keeper.leader_events import Secured
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.owned_task import own_task
from trivet.wire.blobs import BlobRef

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.3


class StalledBlobs:
    """Gives banks the blobs that keep entries from becoming durable."""

    def __init__(self, shell: LeaderShell, fleet: Fleet, blobs: BlobService) -> None:
        self._shell = shell
        self._leader = shell.leader
        self._fleet = fleet
        self._blobs = blobs
        self._running = own_task(self._watch())

    async def close(self) -> None:
        """Stop."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _watch(self) -> None:
        before = -1
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            reign = self._leader.reign
            if reign.marks.durable == before and before < reign.log.head:
                await self._look()
            before = reign.marks.durable

    async def _look(self) -> None:
        for bank in self._fleet.banks:
            base = bank[0].base
            for slot in self._leader.missing_blobs(base):
                links = [(server.port, server.generation, server.is_up) for server in bank]
                try:
                    has_all = await self._bank_has(bank[0].bank, slot)
                except (ReplicaError, NoMajority) as error:
                    log.warning("bank %s lacks blobs of slot %s: %s", base, slot, error)
                    break
                if has_all and links == [(server.port, server.generation, server.is_up) for server in bank]:
                    self._shell.run(self._leader.on_blobs_stored(base, slot, steady_s()))

    async def _bank_has(self, bank: int, slot: int) -> bool:
        """Tell whether a bank has good copies of all blobs that the entry at `slot` names, given or had."""
        (entry, *_) = self._leader.reign.log.above(slot - 1)
        refs = [BlobRef(*new) for new in entry.body.new_blobs]
        return all([await _has_or_gets(self._blobs, ref, bank) for ref in refs])


async def secure_blobs(
    blobs: BlobService, banks: Sequence[Sequence[ServerLink]], doubtful: list[tuple[int, int, int, bytes]]
) -> Secured:
    """Give every bank that answers the `doubtful` blobs (slot, name, size, root) it lacks.

    Returns the first slot whose blob nobody has (0: there is none), whether all servers were asked, and
    the (base of a bank, slot) that may still lack one.
    """
    lacking = []
    for slot, name, size, root in doubtful:
        ref = BlobRef(name, size, root)
        try:
            await blobs.read(ref, 0, ref.size)
        except ReplicaError:
            return slot, False, []
        except NoMajority:
            return slot, True, []
        for bank, servers in enumerate(banks):
            try:
                has_it = await _has_or_gets(blobs, ref, bank)
            except NoMajority:  # the copy just read is out of reach again
                has_it = False
            if not has_it:
                lacking.append((servers[0].base, slot))
    return 0, True, lacking


async def _has_or_gets(blobs: BlobService, ref: BlobRef, bank: int) -> bool:
    """Tell whether a bank has a good copy of a blob; one that lacks it is given it."""
    servers = blobs.servers_for(ref.name, bank)
    if not servers:
        return False
    if any([await blobs.is_good(ref, server) for server in servers]):
        return True
    data, _ = await blobs.read_elsewhere(ref, servers[0])
    return await blobs.replace(ref, data, servers[0])
