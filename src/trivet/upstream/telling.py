"""What an upstream tells of itself: `trivet upstream status`, `trivet transfers`, the page.

Rule: a field is added, never renamed, because people read `--json`.
"""

from typing import Literal

import msgspec

from trivet.upstream.transfers import DIRECTIONS, Transfer
from trivet.upstream.work import UpstreamWork

NOTICES_MAX = 20


class BudgetTold(msgspec.Struct, frozen=True):
    """The day's bytes of one direction; None = no limit. `waiting` transfers have a place in the queue."""

    direction: str
    limit_bytes: int | None
    user_limit_bytes: int | None
    used_bytes: int
    bytes_left: int | None
    waiting: int
    resets_at_s: float


class QuotaTold(msgspec.Struct, frozen=True):
    """What was used today of what the vendor allows; `spent_until_s` while only what is here is served."""

    requests: int
    requests_per_day: int | None
    units: int
    units_per_day: int | None
    spent_until_s: float | None


class Notice(msgspec.Struct, frozen=True):
    """Something that people should know."""

    at_s: float
    text: str


class Unsettled(msgspec.Struct, frozen=True):
    """A file that has not reached the vendor yet, and why."""

    name: str
    attempts: int
    due_s: float
    error: str | None


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream at a glance; `trouble` says why it is not well, `left_out` counts bodiless documents."""

    name: str
    at: str
    url: str
    healthy: bool
    trouble: str
    circuit: Literal["closed", "open", "half open"]
    polled_at_s: float | None
    files: int
    outbox: int
    left_out: int
    calls: int
    quota: QuotaTold
    budgets: list[BudgetTold]
    unsettled: list[Unsettled]
    notices: list[Notice]


class Statuses(msgspec.Struct, frozen=True):
    """Every upstream of a drive."""

    upstreams: list[UpstreamStatus]


class TransferTold(msgspec.Struct, frozen=True):
    """A transfer to or from a vendor; `position` is its place in the queue, None when it has none."""

    upstream: str
    transfer: Transfer
    position: int | None


class TransfersTold(msgspec.Struct, frozen=True):
    """Transfers, the newest change first."""

    transfers: list[TransferTold]


async def status_of(work: UpstreamWork) -> UpstreamStatus:
    """Return how an upstream is."""
    up, now_s = work.up, work.up.now_s()
    vendor, store = up.vendor, up.store
    spent_s = vendor.quota.spent_until_s(now_s)
    trouble = work.trouble or ("the vendor's quota of today is spent" if spent_s else "")
    (files,) = await store.row("SELECT count(*) FROM mirror") or (0,)
    notices = await store.rows("SELECT at_s, text FROM notices ORDER BY at_s DESC LIMIT ?", NOTICES_MAX)
    unsettled = await store.rows(
        "SELECT coalesce(mirror.name, outbox.id), attempts, due_s, error FROM outbox "
        "LEFT JOIN mirror USING (id) ORDER BY due_s LIMIT ?",
        NOTICES_MAX,
    )
    count, limits = vendor.quota.count, vendor.quota.limits
    return UpstreamStatus(
        name=up.name,
        at=work.account.at,
        url=work.account.url,
        healthy=not trouble and work.polled_s is not None,
        trouble=trouble,
        circuit=vendor.breaker.state(now_s),
        polled_at_s=work.polled_s,
        files=files,
        outbox=await work.outbox.count(),
        left_out=work.poller.left_out,
        calls=vendor.calls,
        quota=QuotaTold(count.requests, limits.requests_per_day, count.units, limits.units_per_day, spent_s),
        budgets=[_budget(work, direction, now_s) for direction in DIRECTIONS],
        unsettled=[Unsettled(*row) for row in unsettled],
        notices=[Notice(*row) for row in notices],
    )


def _budget(work: UpstreamWork, direction: Literal["download", "upload"], now_s: float) -> BudgetTold:
    budget = work.transfers.budgets[direction]
    return BudgetTold(
        direction, budget.limits.pool_bytes, budget.limits.user_bytes, budget.used_bytes(now_s),
        budget.bytes_left(now_s), len(budget.waiting), budget.resets_at_s(now_s),
    )  # fmt: skip


async def transfers_of(work: UpstreamWork, limit: int) -> list[TransferTold]:
    """Return the transfers of an upstream, those that wait or run first."""
    rows = await work.transfers.listed("1 ORDER BY state IN ('done', 'failed'), touched_s DESC", limit)
    told = []
    for row in rows:
        waiting = list(work.transfers.budgets[row.direction].waiting)
        position = waiting.index(row.key) + 1 if row.key in waiting else None
        told.append(TransferTold(work.up.name, row, position))
    return told
