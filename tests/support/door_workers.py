"""What the figures of `trivet health` say of the door's workers, held against the rule for adding one."""

from typing import Any

from trivet.insight.scaling import LEAST_DEMAND_PERCENT, LEAST_SHARE_PERCENT


def have_work(figures: dict[str, Any]) -> bool:
    """Tell whether a worker uses a processor, or waits for one."""
    workers = [one for one in figures["processes"] if one["role"] == "door worker"]
    return any(
        one["cpu_percent"] is None
        or one["cpu_percent"] >= LEAST_SHARE_PERCENT
        or one["cpu_percent"] + (one["waiting_percent"] or 0) >= LEAST_DEMAND_PERCENT
        for one in workers
    )


def is_busy(figures: dict[str, Any]) -> bool:
    """Tell whether the machine or its workers, whichever is busier, are above the threshold and have work."""
    workers = [one["cpu_percent"] or 0.0 for one in figures["processes"] if one["role"] == "door worker"]
    busier: float = max(figures["machine"]["cpu_percent"], sum(workers) / max(len(workers), 1))
    return busier >= 80 and have_work(figures)
