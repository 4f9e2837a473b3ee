"""What an upstream tells of itself: `trivet upstream status`, `trivet transfers`, the page.

Rule: a field is added, never renamed, because people read `--json`.
"""

from typing import Literal

import msgspec

from trivet.upstream.requesting import QueueTold
from trivet.upstream.standing import NOTICES_KEPT_S
from trivet.upstream.transfers import DIRECTIONS, Transfer
from trivet.upstream.work import UpstreamWork

NOTICES_MAX, UNSETTLED_MAX = 100, 20


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
    """Something that `user` ("" = everybody) should know; `seq` grows."""

    at_s: float
    text: str
    user: str = ""
    seq: int = 0


class Unsettled(msgspec.Struct, frozen=True):
    """A file that has not reached the vendor yet, and why."""

    name: str
    attempts: int
    due_s: float
    error: str | None


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream at a glance; `trouble` says why it is not well, `left_out` counts bodiless documents.

    `held_removals` wait until somebody allows them. `again_in_s` is when the vendor is asked again. While it
    is `behind`, what was changed here lately is not in `outbox` yet.
    """

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
    held_removals: int = 0
    again_in_s: float = 0.0
    queue: QueueTold | None = None
    behind: bool = False


class Statuses(msgspec.Struct, frozen=True):
    """Every upstream of a drive."""

    upstreams: list[UpstreamStatus]


class UpstreamNews(msgspec.Struct, frozen=True):
    """`mark` is another one whenever something has happened at an upstream; its newest notices first."""

    name: str
    mark: str
    notices: list[Notice]


class News(msgspec.Struct, frozen=True):
    """What has happened lately."""

    upstreams: list[UpstreamNews]


class Removed(msgspec.Struct, frozen=True):
    """How many removals were allowed, or brought back."""

    removed: int


class TransferTold(msgspec.Struct, frozen=True):
    """A transfer to or from a vendor; `position` is its place in the queue, None when it has none.

    One that has a place runs when the bytes of a new day come, at `resets_at_s`, if not before.
    """

    upstream: str
    transfer: Transfer
    position: int | None
    resets_at_s: float | None = None


class TransfersTold(msgspec.Struct, frozen=True):
    """Transfers: those that are open first, in their order; then the others, the newest first."""

    transfers: list[TransferTold]


async def status_of(work: UpstreamWork) -> UpstreamStatus:
    """Return how an upstream is."""
    up, now_s = work.up, work.up.now_s()
    vendor, store = up.vendor, up.store
    spent_s = vendor.quota.spent_until_s(now_s)
    held = await work.removals.held() or 0
    trouble = work.trouble or ("the vendor's quota of today is spent" if spent_s else "")
    if held and not trouble:
        trouble = f"the removal of {held:,} files and folders waits for somebody's yes"
    (files,) = await store.row("SELECT count(*) FROM mirror") or (0,)
    unsettled = await store.rows(
        "SELECT coalesce(mirror.name, outbox.id), attempts, due_s, error FROM outbox "
        "LEFT JOIN mirror USING (id) ORDER BY due_s LIMIT ?",
        UNSETTLED_MAX,
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
        notices=await notices_of(work),
        held_removals=held,
        queue=await work.requests.told(),
        again_in_s=vendor.breaker.opens_in_s(now_s),
        behind=work.watcher.is_behind(now_s),
    )


async def notices_of(work: UpstreamWork) -> list[Notice]:
    """Return what people were told lately, the newest first."""
    rows = await work.up.store.rows(
        "SELECT at_s, text, user, rowid FROM notices WHERE at_s >= ? ORDER BY rowid DESC LIMIT ?",
        *(work.up.now_s() - NOTICES_KEPT_S, NOTICES_MAX),
    )
    return [Notice(*row) for row in rows]


def _budget(work: UpstreamWork, direction: Literal["download", "upload"], now_s: float) -> BudgetTold:
    budget = work.transfers.budgets[direction]
    return BudgetTold(
        direction, budget.limits.pool_bytes, budget.limits.user_bytes, budget.used_bytes(now_s),
        budget.bytes_left(now_s), len(budget.waiting), budget.resets_at_s(now_s),
    )  # fmt: skip


async def news_of(work: UpstreamWork) -> UpstreamNews:
    """Return what has happened at an upstream; cheap, because it is asked for every second."""
    circuit = work.up.vendor.breaker.state(work.up.now_s())
    mark = f"{work.up.store.changes} {circuit} {work.trouble}"
    return UpstreamNews(work.up.name, mark, await notices_of(work))


async def transfers_of(work: UpstreamWork, limit: int) -> list[TransferTold]:
    """Return the transfers of an upstream, those that wait or run first."""
    over = "state IN ('done', 'failed', 'rolled back')"
    rows = await work.transfers.listed(
        f"1 ORDER BY {over}, CASE WHEN {over} THEN -touched_s ELSE seq END", limit
    )
    return [told_of(work, row) for row in rows]


def told_of(work: UpstreamWork, row: Transfer) -> TransferTold:
    """Return how a transfer stands."""
    budget = work.transfers.budgets[row.direction]
    waiting = list(budget.waiting)
    if row.key not in waiting:
        return TransferTold(work.up.name, row, None)
    resets_at_s = budget.resets_at_s(work.up.now_s())
    return TransferTold(work.up.name, row, waiting.index(row.key) + 1, resets_at_s)
