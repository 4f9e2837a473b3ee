"""What accepting a loss would mean for a takeover that is stuck, in sentences for the one who decides.

Rule: what is said rests on what every bank that answered says of itself and what keepers wrote down; nothing
is changed.
"""

import msgspec

from trivet.errors import NoMajority
from trivet.io.clock import steady_s
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.lost_operations import find_lost
from trivet.keeper.seat import Seat
from trivet.quorum.leader import Leader
from trivet.wire.journal_messages import Identity
from trivet.wire.recover_messages import RecoverReport, RecoverWhat


async def recover(
    shell: LeaderShell, volume_key: bytes, seat: Seat, what: RecoverWhat, *, apply: bool
) -> RecoverReport:
    """Say what accepting a loss means for a takeover that is stuck, and have it accepted if `apply`."""
    rollback, cut = what == "accept_rollback", what == "accept_cut"
    report = plan_recovery(shell.leader, rollback=rollback)
    if rollback:
        report = await with_operations(report, shell, volume_key, seat)
    if apply:
        shell.run(shell.leader.accept(rollback=rollback, cut=cut, now=steady_s()))
        report = msgspec.structs.replace(report, done=True)
    return report


def plan_recovery(leader: Leader, *, rollback: bool) -> RecoverReport:
    """Say what goes if a person accepts it; `rollback`: that banks were rolled back, or emptied.

    Raises NoMajority when there is nothing to go on from.
    """
    said = {bank: f.identity for bank, f in leader.reign.followers.items() if f.identity is not None}
    source = leader.election.candidate()
    if source is None:
        raise NoMajority(
            "no bank that answers holds a log, so there is nothing to go on from: bring a copy of a bank's "
            "folder back, or begin anew with another --state"
        )
    mark, after = leader.election.mark, said[source].head
    lost = [f"everything after slot {after}, up to slot {mark}"] if mark > after else []
    slot, slot_hash = leader.election.known
    log = leader.election.log
    if rollback and slot_hash and log.floor <= slot <= log.head and not log.joins(slot, slot_hash):
        lost.append(f"what was durable up to slot {slot} and is not in the banks' own history")
    if rollback:
        lost += _one_copy_left(source, said, len(leader.reign.followers))
    return RecoverReport(True, False, max(mark, after), after, lost)


async def with_operations(
    report: RecoverReport, shell: LeaderShell, volume_key: bytes, seat: Seat
) -> RecoverReport:
    """Return `report` with the operations that go, as far as anybody knows them."""
    folders = [path.parent for path in seat.mark_paths]
    lost = await find_lost(shell, volume_key, folders, report.slot_before or 0)
    return msgspec.structs.replace(
        report, lost=[*report.lost, *lost.unknown], operations=lost.operations,
        operations_left_out=lost.left_out,
    )  # fmt: skip


def _one_copy_left(source: int, said: dict[int, Identity], banks: int) -> list[str]:
    """Say so if only `source` can vouch for its log."""
    voters = [bank for bank, identity in said.items() if identity.standing in ("voter", "suspect")]
    if len(voters) > banks // 2:
        return []
    empty = [bank for bank in said if bank not in voters]
    silent = banks - len(said)
    lines = [
        f"the other copies: bank {' and bank '.join(map(str, empty))} hold no log any more and are made anew "
        f"from bank {source} alone; what is damaged or missing there has no second copy"
    ]
    if silent:
        lines.append(f"it begins only when all banks answer: {silent} of {banks} do not yet (`trivet start`)")
    return lines
