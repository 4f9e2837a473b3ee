"""Who may vote for a new leader, and whose log it must install.

Rule: suspect and empty acceptors never vote; the majority is of all banks, not of those that answered.
Rule: when marks say that two banks hold less than they once synced, nobody is elected: loud, never wrong.
"""

from collections.abc import Iterable, Mapping

from trivet.errors import NoMajority
from trivet.quorum.leader_log import LeaderLog
from trivet.wire.entries import Epoch
from trivet.wire.journal_messages import Identity


def next_epoch(seen: Iterable[Epoch], nonce: int) -> Epoch:
    """Return an epoch above all of `seen` with the random 64 bits `nonce`."""
    return Epoch(max((epoch.number for epoch in seen), default=0) + 1, nonce)


def takeover(
    replies: Mapping[int, Identity], bank_count: int, *, suspects_elect: bool = False, alone: bool = False
) -> int:
    """Return the bank whose log a new leader must install: the highest (accepted_epoch, length).

    `replies` are the banks that promised the leader's epoch. The majority is of `bank_count`, not of the
    replies that came: a partition elects nobody. With `suspects_elect`, acceptors that may have lost what
    they had not synced count too (nobody better answered). With `alone` one is enough: all banks answered,
    and a person has accepted that what only the others knew is gone. Raises NoMajority.
    """
    standings = ("voter", "suspect") if suspects_elect or alone else ("voter",)
    voters = {bank: reply for bank, reply in replies.items() if reply.standing in standings}
    if len(voters) < (1 if alone else bank_count // 2 + 1):
        raise NoMajority(f"{len(voters)} of {bank_count} banks can vote; start the others or wait for them")
    return max(voters, key=lambda bank: (voters[bank].accepted_epoch, voters[bank].head, -bank))


def refuse_rollback(replies: Mapping[int, Identity], bank_count: int, mark: int, head: int) -> None:
    """Raise NoMajority when fewer than a majority of banks can still hold slot `mark`, once durable.

    A bank that does not answer, or says itself that it is empty or that its journal is damaged, may have
    held it. And in any case when the log to be installed, which ends at `head`, lacks it.
    """
    honest = sum(
        reply.standing in ("empty", "joining", "blobs") or reply.lossy or reply.head >= mark
        for reply in replies.values()
    )
    if head < mark or honest + bank_count - len(replies) < bank_count // 2 + 1:
        heads = ", ".join(f"{bank}: {reply.head}" for bank, reply in sorted(replies.items()))
        raise NoMajority(
            f"banks were rolled back: slot {mark} was durable, they end at {heads}; bring the newer copies "
            "back, or give up what is missing with `trivet recover --accept-rollback`"
        )


def refuse_other_history(log: LeaderLog, slot: int, slot_hash: bytes) -> None:
    """Raise NoMajority when `log` has another entry at `slot` than the durable one with `slot_hash`."""
    if slot_hash and log.floor <= slot <= log.head and not log.joins(slot, slot_hash):
        raise NoMajority(
            f"banks were rolled back and went on: another entry than theirs was durable at slot {slot}; "
            "bring the copies with that one back, or give it up with `trivet recover --accept-rollback`"
        )
