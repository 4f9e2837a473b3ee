"""A keeper's first minutes: find the banks, begin a reign, and load what the log and the rows prove.

Rule: nothing is served before the sums say that every record was loaded, and before the lease of a keeper
that may still be reading is over.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.errors import NoMajority, ProtocolError, ReplicaError
from trivet.io.clock import steady_s
from trivet.keeper.bank_links import Fleet, ServerLink
from trivet.keeper.high_water import HighWater, read_high_water, write_high_water
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.loader import Loader
from trivet.keeper.seat import Seat
from trivet.keeper.standing_by import Heritage
from trivet.quorum.digests import RecordIndex
from trivet.quorum.leader import Leader
from trivet.quorum.lease import wait_out_s
from trivet.quorum.takeover import next_epoch
from trivet.volume.blob_names import BlobNames
from trivet.volume.loading import Loading
from trivet.volume.namespace import Namespace
from trivet.wire.control_messages import LOADING
from trivet.wire.entries import NO_EPOCH

log = logging.getLogger(__name__)

SETTLE_S = 0.5
LOOK_AGAIN_S = 0.05
LOAD_AGAIN_S = 0.5
LOAD_TRIES = 10


async def wait_for_banks(fleet: Fleet, wanted: int, notes: dict[str, str]) -> None:
    """Wait until `wanted` banks answer, and a moment longer for the others; `notes` tell people why."""
    settled_at = None
    while True:
        up = sum(any(server.is_up for server in bank) for bank in fleet.banks)
        if up < wanted:
            notes["banks"] = (
                f"NoMajority: {up} of {len(fleet.banks)} banks answer; {wanted} are needed to begin"
            )
            settled_at = None
        elif settled_at is None:
            notes.pop("banks", None)
            settled_at = steady_s() + SETTLE_S
        everybody = all(server.is_up for server in fleet.servers)
        if everybody or (settled_at is not None and steady_s() >= settled_at):
            return
        await asyncio.sleep(LOOK_AGAIN_S)


async def begin_reign(
    fleet: Fleet, volume: str, volume_key: bytes, seat: Seat, heritage: Heritage | None, notes: dict[str, str]
) -> tuple[Leader, float]:
    """Return a leader, and how long it must not be read from once banks have promised to follow it.

    Its epoch is above all that the banks, the high-water marks of `seat` and who stood by (`heritage`) know
    of. The keeper before is dead if it was this folder's, since its lock is ours; one of another folder may
    be reading still, and its lease is waited out. Of two keepers of one folder the log says who reigned.
    """
    marks = [mark for path in seat.mark_paths if (mark := read_high_water(path)) is not None]
    fresh = not marks and heritage is None
    await wait_for_banks(fleet, len(fleet.banks) if fresh else fleet.majority, notes)
    marks += [heritage.mark] if heritage else []
    # The newest reign's: after `trivet recover` an older one may name slots that were given up.
    mark = max(marks, key=lambda one: (one.epoch, one.slot), default=HighWater(NO_EPOCH, 0))
    own = mark.epoch
    promised = [server.identity.promised for server in fleet.servers if server.identity is not None]
    seen = heritage.seen if heritage else []
    epoch = next_epoch([own, *promised, *seen], random.SystemRandom().getrandbits(64))
    if not fresh:
        await asyncio.to_thread(_claim, seat.mark_paths[0], msgspec.structs.replace(mark, epoch=epoch))
    bases = [bank[0].base for bank in fleet.banks]
    leader = Leader(
        volume, volume_key, bases, epoch, steady_s(), high_water=mark.slot, fresh=fresh, name=seat.name,
        silent=heritage.silent if heritage else {},
    )  # fmt: skip
    leader.election.known = mark.slot, mark.hash
    if seat.other_is_dead:
        leader.succession.hold(seat.other)
    others_reigned = not seat.has_other and any(one.number > own.number for one in promised)
    return leader, wait_out_s() if others_reigned else 0.0


def _claim(mark_path: Path, mark: HighWater) -> None:
    """Write down that the epoch of `mark` is this folder's."""
    try:
        write_high_water(mark_path, mark)
    except OSError as error:  # a full disk: the next keeper waits for a lease that nobody has
        log.warning("the high-water mark can't be written: %s", error)


async def load_volume(
    shell: LeaderShell, volume_key: bytes, names: BlobNames, notes: dict[str, str]
) -> tuple[Namespace, RecordIndex]:
    """Return the namespace and the index of the volume that `shell`'s leader has taken over.

    Raises NoMajority when what the banks hold can't be proved complete, after several tries.
    """
    reign = shell.leader.reign

    def tell(records: int) -> None:
        notes["loading"] = f"{LOADING}: {records:,} records so far"

    for attempt in range(LOAD_TRIES):
        able = [f.bank for f in reign.followers.values() if f.counted and f.head == reign.log.head]
        servers = [shell.acceptor(base) for base in able]
        at = reign.marks.durable
        try:
            loading, index = await load_records(Loader(reign.log, at, volume_key, tell), servers, names)
        except (ReplicaError, NoMajority) as error:
            notes["load"] = f"NoMajority: {error}"
            log.warning("loading failed (try %s): %s", attempt + 1, error)
            await asyncio.sleep(LOAD_AGAIN_S)
            continue
        finally:
            notes.pop("loading", None)
        notes.pop("load", None)
        added = (op.key for entry in reign.log.above(at) for op in entry.body.ops)
        assert all(key.startswith(b"c/") for key in added), (
            "only the leader itself writes before it has loaded"
        )
        for problem in loading.problems:
            log.error("the records do not fit together: %s", problem)
        return loading.space, index
    raise NoMajority(notes["load"])


async def load_records(
    loader: Loader, servers: Sequence[ServerLink], names: BlobNames
) -> tuple[Loading, RecordIndex]:
    """Load from the first of `servers`, or, where its rows do not add up, from what all of them hold.

    Raises ReplicaError or NoMajority when neither can be proved complete.
    """
    loading = Loading(names)
    index = None
    for server in servers[:1]:
        try:
            index = await loader.load_from(server, loading)
        except (ReplicaError, ProtocolError) as error:
            log.warning("not loaded from server %s alone: %s", server.port, error)
            loading = Loading(names)
    if index is None:
        index = await loader.load(servers, loading)
    for _ in loading.steps():
        await asyncio.sleep(0)
    return loading, index
