"""What a reign does to keep its log short and its seats filled: anchors, trimming, moves of the role.

Rule: anchors write CONFIG again, so that whatever is trimmed, the log tells its voters and its sums.
"""

from trivet.quorum.leader_commands import LeaderCommand
from trivet.quorum.reign import Reign
from trivet.quorum.trimming import trim_floor
from trivet.wire.entries import Entry
from trivet.wire.journal_messages import Trim


def may_move(reign: Reign, bank: int, now: float) -> bool:
    """Tell whether the acceptor's role of `bank` may be given to another of its servers.

    Only when all other banks count, keep up and answered lately (a keeper that was stopped knows nothing of
    them): they must accept the CONFIG that names the new server, and nobody takes the move back until then.
    And only when their records were compared since they came back, and lack nothing: else what the server
    that is given up has may be the last good copy.
    """
    others = [follower for follower in reign.followers.values() if follower.bank != bank]
    keep_up = all(one.counted and not one.degraded for one in others)
    may_count_on = keep_up and all(one.is_whole for one in others) and reign.lease.holds(now)
    return reign.phase == "serve" and may_count_on


def anchor(reign: Reign, sums: bytes, now: float) -> tuple[Entry, list[LeaderCommand]]:
    """Author and sync an entry that holds `sums` and CONFIG."""
    assert reign.phase == "serve"
    assert reign.log.config is not None
    entry = reign.seal_config(reign.log.config, sums)
    return entry, [*reign.spread(entry, now), *reign.sync(now)]


def trim(reign: Reign, now: float) -> list[LeaderCommand]:
    """Trim as far as the compared banks allow, and ask all how far they have applied."""
    log = reign.log
    counted = [follower for follower in reign.followers.values() if follower.counted]
    applied = {follower.bank: follower.applied for follower in counted if follower.compared}
    floor = trim_floor(applied, len(reign.followers), log.keep_from, reign.marks.durable)
    landmarks_stay = max(log.config_slot, log.anchor_slot) <= reign.marks.durable
    if floor > log.floor and landmarks_stay:
        log.trim(floor)
    return [follower.send(Trim(log.floor), now) for follower in counted]
