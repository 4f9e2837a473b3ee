"""How an upstream is, as people read it in a terminal."""

import time

from trivet.supervise.live_view import size_text
from trivet.upstream.telling import BudgetTold, QuotaTold, UpstreamStatus

_WAYS = {"download": "bytes from there today", "upload": "bytes to there today"}
NOTICES_SHOWN = 8


def status_lines(one: UpstreamStatus, now_s: float) -> list[str]:
    """Return what is said of an upstream at the Unix time `now_s`."""
    lines = [f"{one.name} at {one.at}: {_health(one)}"]
    to_send = f"{one.outbox:,} to be sent or compared" if one.outbox else "nothing to be sent"
    asked = "" if one.polled_at_s is None else f"; asked for changes {_ago(now_s - one.polled_at_s)} ago"
    if one.behind:
        to_send += ", the newest changes here not looked at yet"
    lines.append(f"  {one.files:,} files and folders; {to_send}{asked}")
    if one.held_removals:
        lines.append(
            f"  {one.held_removals:,} files and folders were removed here in a short time, not there yet:"
        )
        lines.append("    `trivet upstream undo-removal` brings them back,")
        lines.append("    `trivet upstream allow-removal` removes them there, too")
    lines.append(f"  {_quota(one.quota)}")
    lines += [f"  {_budget(budget)}" for budget in one.budgets if budget.limit_bytes is not None]
    if one.queue is not None and {one.queue.queue, one.queue.parking} != {"embedded"}:
        lines.append(
            f"  queue: {one.queue.queue}, what is parked: {one.queue.parking}; {one.queue.trouble or 'well'}"
        )
    if one.left_out:
        lines.append(f"  {one.left_out:,} of its own documents are not shown: they have no bytes")
    lines += [f"  {row.name}: tried {row.attempts} times, {row.error}" for row in one.unsettled if row.error]
    for notice in one.notices[:NOTICES_SHOWN]:
        whom = f" (for {notice.user})" if notice.user else ""
        lines.append(f"  {_stamp(notice.at_s)}  {notice.text}{whom}")
    return lines


def _health(one: UpstreamStatus) -> str:
    spent_s = one.quota.spent_until_s
    if spent_s is not None:
        return f"its limit of today is reached; what is here is served, the rest from {_clock(spent_s)} on"
    if one.circuit != "closed":
        again = f"; asked again in {one.again_in_s:.0f} s" if one.again_in_s else ""
        return f"away, what is here is served: {one.trouble or 'it does not answer'}{again}"
    if one.healthy:
        return "well"
    return one.trouble or "listing its files"


def _quota(quota: QuotaTold) -> str:
    parts = []
    for used, limit, unit in (
        (quota.requests, quota.requests_per_day, "requests"),
        (quota.units, quota.units_per_day, "units"),
    ):
        parts.append(f"{used:,} {unit}" if limit is None else f"{used:,} of {limit:,} {unit}")
    return f"used of the vendor's day: {', '.join(parts)}"


def _budget(one: BudgetTold) -> str:
    assert one.limit_bytes is not None
    waiting = f", {one.waiting} waiting" if one.waiting else ""
    return (
        f"{_WAYS[one.direction]}: {size_text(one.used_bytes)} of {size_text(one.limit_bytes)} used or "
        f"reserved{waiting}; new ones at {_clock(one.resets_at_s)}"
    )


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _clock(at_s: float) -> str:
    return time.strftime("%H:%M", time.localtime(at_s))


def _stamp(at_s: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(at_s))
