"""The vendor as everybody here calls it: each call counted before, tried again after, or not made at all.

Rule: a call that may change something is made `once`: whether it happened is looked at before it is repeated.
Rule: while the circuit is open or the day's quota is spent nobody calls; they are told until when.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trivet.drive.upstream.breaker import CircuitBreaker
from trivet.drive.upstream.retry import RetryPolicy, verdict_of
from trivet.drive.upstream.vendor_quota import Call, VendorQuota
from trivet.errors import UpstreamError, VendorQuotaSpent
from trivet.io.drive_api import DriveApi, VendorTrouble

Result = TypeVar("Result")


class Unreachable(UpstreamError):
    """The vendor could not be asked, after the tries that the message tells of; ask `again_in_s` later."""

    def __init__(self, message: str, *, again_in_s: float) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


class Vendor:
    """`api` behind quota, circuit breaker and retries; `now_s` is Unix time.

    `calls` counts what was made, `made` what was to be made, by kind.
    """

    def __init__(
        self,
        api: DriveApi,
        quota: VendorQuota,
        *,
        now_s: Callable[[], float],
        rng: random.Random,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.api = api
        self.quota = quota
        self.breaker = CircuitBreaker()
        self.calls = 0
        self.made: Counter[Call] = Counter()
        self.last_error = ""
        self._now_s = now_s
        self._rng = rng
        self._policy = policy or RetryPolicy()

    async def call(
        self, kind: Call, work: Callable[[], Awaitable[Result]], *, size_bytes: int = 0, once: bool = False
    ) -> Result:
        """Return what `work` returns; it is done again, unless `once`, while what it meets passes by itself.

        Raises VendorQuotaSpent, Unreachable, or VendorTrouble for a refusal.
        """
        began_s, failures = self._now_s(), 0
        while True:
            await self._admit(kind, size_bytes)
            try:
                self.made[kind] += 1
                result = await self._made(work)
            except VendorTrouble as trouble:
                failures += 1
                pause_s = self._pause(trouble, 99 if once else failures, self._now_s() - began_s)
                if pause_s is None:
                    tried = "once" if failures == 1 else f"{failures} times"
                    raise Unreachable(
                        f"{trouble} (tried {tried} in {self._now_s() - began_s:.0f} s)",
                        again_in_s=max(1.0, self.breaker.opens_in_s(self._now_s())),
                    ) from trouble
                await asyncio.sleep(pause_s)
            else:
                return result

    async def _made(self, work: Callable[[], Awaitable[Result]]) -> Result:
        self.calls += 1
        try:
            result = await work()
        except VendorTrouble as trouble:
            self.last_error = str(trouble)
            if trouble.status is None or trouble.status >= 500:
                self.breaker.failed(self._now_s())
            else:
                self.breaker.succeeded()
            raise
        self.breaker.succeeded()
        return result

    def _pause(self, trouble: VendorTrouble, failures: int, elapsed_s: float) -> float | None:
        """Return how long to wait before the next try, None to give up; raise what trying can't help."""
        verdict = verdict_of(trouble.status, trouble.reason)
        if verdict == "spent":
            self.quota.note_spent(self._now_s())
            raise self._spent() from trouble
        if verdict != "passes":
            raise trouble
        return self._policy.pause_s(failures, elapsed_s, self._rng.random())

    async def _admit(self, kind: Call, size_bytes: int) -> None:
        """Return when the call may be made and is counted."""
        now_s = self._now_s()
        if not self.breaker.may_call(now_s):
            again_s = self.breaker.opens_in_s(now_s)
            raise Unreachable(
                f"the vendor does not answer (last: {self.last_error})", again_in_s=max(again_s, 0.5)
            )
        while (blocked := self.quota.take(kind, size_bytes, self._now_s())) is not None:
            if blocked.is_day:
                raise self._spent()
            await asyncio.sleep(max(0.1, blocked.until_s - self._now_s()))

    def _spent(self) -> VendorQuotaSpent:
        rest_s = self.quota.limits.day_ends_s(self._now_s()) - self._now_s()
        return VendorQuotaSpent(
            f"the vendor lets us do nothing more today; it will in {rest_s / 3600:.1f} hours",
            retry_after_s=max(1.0, rest_s),
        )
