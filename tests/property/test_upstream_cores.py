"""The cores in front of a vendor: never over a budget, nobody starves, nothing changed is lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.drive.upstream.breaker import FAILURES_MAX, CircuitBreaker
from trivet.drive.upstream.byte_budget import BudgetLimits, ByteBudget
from trivet.drive.upstream.reconciling import Side, decide
from trivet.drive.upstream.retry import PAUSE_MAX_S, RetryPolicy, verdict_of
from trivet.drive.upstream.vendor_quota import DAY_S, QuotaLimits, VendorQuota

POOL, OWN = 1000, 600
USERS = ("ann", "bob", "cay")
_step = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, 2), st.integers(1, OWN)),
    st.tuples(st.just("end"), st.integers(0, 9), st.floats(0, 1)),
    st.tuples(st.just("wait"), st.integers(0, DAY_S), st.none()),
)


@given(st.lists(_step, max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_budget_is_overused_and_the_queue_keeps_its_order(steps: list[tuple[str, int, float]]) -> None:
    budget = ByteBudget(BudgetLimits(POOL, OWN))
    now_s, asked = 1e9, 0
    running: dict[str, tuple[str, int]] = {}
    wishes: dict[str, tuple[str, int]] = {}
    used: dict[int, dict[str, int]] = {}
    begun: list[str] = []

    def begin(keys: list[str]) -> None:
        for key in keys:
            running[key] = wishes[key]
            begun.append(key)

    for what, number, more in steps:
        if what == "ask":
            key, asked = f"k{asked}", asked + 1
            wishes[key] = (USERS[number], int(more))
            foreseen = budget.foreseen(USERS[number], int(more), now_s)
            place = budget.ask(key, USERS[number], int(more), now_s)
            assert place.position == foreseen.position
            if place.position == 0:
                begin([key])
        elif what == "end" and running:
            key = list(running)[number % len(running)]
            user, size = running.pop(key)
            moved = int(size * more)
            assert budget.moved(key, moved)
            today = used.setdefault(int(now_s // DAY_S), {})
            today[user] = today.get(user, 0) + moved
            begin(budget.end(key, now_s))
        elif what == "wait":
            now_s += number
            begin(budget.granted(now_s))
        today = used.get(int(now_s // DAY_S), {})
        taken = {user: today.get(user, 0) for user in USERS}
        for user, size in running.values():
            taken[user] += size
        assert sum(taken.values()) <= POOL
        assert all(one <= OWN for one in taken.values())
    for user in USERS:
        mine = [key for key in begun if wishes[key][0] == user]
        assert mine == sorted(mine, key=lambda key: int(key[1:])), "first come, first served"
    for _ in range(asked + 1):  # every day everybody who runs ends: in the end nobody waits
        for key in list(running):
            begin(budget.end(key, now_s))
            del running[key]
        now_s += DAY_S
        begin(budget.granted(now_s))
    assert set(begun) == set(wishes)


_side = st.builds(Side, st.sampled_from(["a", "b"]), st.sampled_from(["p", "q"]), st.sampled_from("123"))
_maybe = st.none() | _side


@given(_maybe, _maybe, _maybe)
def test_nothing_that_was_changed_is_lost(known: Side | None, here: Side | None, there: Side | None) -> None:
    done = decide(known, here, there).content
    old = known.md5 if known else None
    kept = {
        "agree": {here and here.md5}, "send": {here and here.md5}, "create": {here and here.md5},
        "take": {there and there.md5}, "both": {here and here.md5, there and there.md5},
    }.get(done, set())  # fmt: skip
    if there is not None and there.md5 != old and known is not None:
        assert there.md5 in kept
    if here is not None and here.md5 != old:
        assert here.md5 in kept
    if here is not None and there is not None and here.md5 == there.md5:
        assert done == "agree"
    if done in ("trash", "remove"):
        assert known is not None
        assert old == (there or here).md5  # type: ignore[union-attr]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 400))
def test_pauses_double_are_jittered_and_end(jitters: list[float], elapsed_s: float) -> None:
    policy = RetryPolicy()
    for failures, jitter in enumerate(jitters, 1):
        pause = policy.pause_s(failures, elapsed_s, jitter)
        wanted = min(2 ** (failures - 1) + jitter, PAUSE_MAX_S)
        gives_up = failures >= policy.attempts or elapsed_s + wanted > policy.deadline_s
        assert pause == (None if gives_up else wanted)


def test_which_refusals_pass() -> None:
    passing = ((None, ""), (429, ""), (500, ""), (503, "backendError"), (403, "rateLimitExceeded"))
    assert {verdict_of(*one) for one in passing} == {"passes"}
    assert verdict_of(403, "dailyLimitExceeded") == "spent"
    assert verdict_of(401, "authError") == "login"
    refused = ((403, "insufficientFilePermissions"), (400, "invalid"), (404, "notFound"), (409, "conflict"))
    assert {verdict_of(*one) for one in refused} == {"refused"}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=80))
def test_a_circuit_opens_probes_one_at_a_time_and_closes(answers: list[tuple[bool, float]]) -> None:
    breaker, now_s, failures = CircuitBreaker(), 0.0, 0
    for well, pause_s in answers:
        now_s += pause_s
        if not breaker.may_call(now_s):
            assert failures >= FAILURES_MAX
            assert breaker.opens_in_s(now_s) > 0
            continue
        if breaker.state(now_s) == "half open":
            assert not breaker.may_call(now_s), "one probe at a time"
        if well:
            failures = 0
            breaker.succeeded()
        else:
            failures += 1
            breaker.failed(now_s)
        assert (breaker.state(now_s) == "closed") == (failures < FAILURES_MAX)


@given(st.lists(st.tuples(st.sampled_from(["get", "list", "update"]), st.integers(0, 40_000)), max_size=80))
def test_the_vendors_quota_is_never_overdrawn(calls: list[tuple[str, int]]) -> None:
    limits = QuotaLimits(requests_per_day=12, units_per_day=500, units_per_minute=200, day_begins_s=8 * 3600)
    quota, now_s = VendorQuota(limits), 1e9
    made: list[tuple[float, int]] = []
    for call, pause_s in calls:
        now_s += pause_s
        before = quota.count.units if quota.count.day == limits.day_of(now_s) else 0
        blocked = quota.take(call, 0, now_s)  # type: ignore[arg-type]
        if blocked is not None:
            assert now_s < blocked.until_s <= limits.day_ends_s(now_s)
            continue
        made.append((now_s, quota.count.units - before))
        today = [units for at, units in made if limits.day_of(at) == limits.day_of(now_s)]
        assert len(today) <= 12
        assert sum(today) <= 500
        assert sum(units for at, units in made if at // 60 == now_s // 60) <= 200
