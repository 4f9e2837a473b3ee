"""The vendors behind the drive, in short: what `trivet upstream status` tells at length."""

from collections import Counter
from pathlib import Path
from typing import Any

from trivet.errors import TrivetError
from trivet.io.control_socket import NotRunning, ask
from trivet.wire.board_frames import UpstreamTold


async def upstreams_told(socket: Path, silence_s: float) -> list[UpstreamTold]:
    """Return the upstreams of the process behind `socket`; none when there is no such process."""
    try:
        told = await ask(socket, "status", silence_s=silence_s)
        transfers = await ask(socket, "transfers", {"limit": 500}, silence_s=silence_s)
    except NotRunning:
        return []
    except TrivetError as error:
        return [UpstreamTold("upstream", False, str(error), 0, None, None, 0, 0, 0)]
    parked = Counter(
        one["upstream"] for one in transfers["transfers"] if one["transfer"]["state"] == "parked"
    )
    return [_told(one, parked[one["name"]]) for one in told["upstreams"]]


def _told(one: dict[str, Any], parked: int) -> UpstreamTold:
    budgets = one["budgets"]
    return UpstreamTold(
        name=one["name"],
        healthy=one["healthy"],
        trouble=one["trouble"],
        requests=one["quota"]["requests"],
        requests_per_day=one["quota"]["requests_per_day"],
        spent_until_s=one["quota"]["spent_until_s"],
        outbox=one["outbox"],
        waiting=sum(budget["waiting"] for budget in budgets),
        parked=parked,
        budgets=[(b["direction"], b["used_bytes"], b["limit_bytes"]) for b in budgets],
        held_removals=one.get("held_removals", 0),
    )
