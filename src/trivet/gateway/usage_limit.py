"""Keeps each user to so many requests a day: beyond them, only what is in the drive already is read.

Rule: reading what is here goes on beyond the limit; what changes files, and what a vendor would have to be
asked for, is refused.
"""

from starlette.requests import Request

from trivet.drive.rights import Principal
from trivet.drive.usage_limits import DoorLimits, is_counted
from trivet.errors import UsageLimit
from trivet.gateway.faces import on_error
from trivet.gateway.teardown import App, Receive, Scope, Send
from trivet.gateway.usage import Usage, beyond

_READING = {"GET", "HEAD"}


class UsageLimitMiddleware:
    """Counts the requests to `app` against `limits`; it must stand behind what finds out who asks."""

    def __init__(self, app: App, usage: Usage, limits: DoorLimits) -> None:
        self.app = app
        self._usage = usage
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["trivet.error_handler"] = self._limits.error_handler
        who: Principal | None = scope.get("trivet.principal")
        limit = self._limits.requests_per_day
        if limit is None or who is None or scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not is_counted(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            await self._usage.count(who.user, limit)
        except UsageLimit as error:
            if scope["method"] in _READING:
                beyond.set(error)
            else:
                answer = await on_error(Request(scope), error)
                await answer(scope, receive, send)
                return
        await self.app(scope, receive, send)
