"""/api/v1/history: what you were served, and how much of your day's requests is left."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trivet.gateway.native.operations import Operation, Parameter, answer, asker, drive_of, number
from trivet.gateway.usage import Served

_MOST = 1000


class History(msgspec.Struct, frozen=True):
    """`requests` of today of `requests_per_day` (None = no limit); `served`, the latest first."""

    requests: int
    requests_per_day: int | None
    resets_at_s: float
    served: list[Served]


async def history(request: Request) -> Response:
    """Tell what you were served; it can be read beyond every limit."""
    drive, who = drive_of(request), asker(request)
    limit = number(request, "limit", 100, 1, _MOST)
    usage = drive.usage
    served = await usage.history(who.user, limit)
    used = await usage.used(who.user)
    return answer(History(used, drive.limits.requests_per_day, usage.resets_at_s(), served))


_LIMIT = Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": _MOST})
OPERATIONS = [
    Operation("GET", "/history", history, "Tell what you were served.", History, parameters=(_LIMIT,))
]
