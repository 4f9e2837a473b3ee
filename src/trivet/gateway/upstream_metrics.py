"""What /metrics tells of the vendors behind the drive: quota, budgets, queues, the cache of each.

Rule: a day's figure is a gauge, as it begins anew; what only grows is a counter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Rows = Iterable[tuple[Sequence[str], float | None]]
Told = Mapping[str, Any]
Family = TypeVar("Family", GaugeMetricFamily, CounterMetricFamily)


def upstream_families(statuses: Sequence[Told], caches: Sequence[Told]) -> Iterator[Metric]:
    """Yield the families of `statuses` and `caches`, as the upstream's process tells them."""
    yield gauge(
        "trivet_upstream_healthy", "1 when the vendor answers and nothing waits for somebody.", ["upstream"],
        (([one["name"]], float(one["healthy"])) for one in statuses),
    )  # fmt: skip
    yield counter(
        "trivet_upstream_calls", "Requests to the vendor since its process began.", ["upstream"],
        (([one["name"]], one["calls"]) for one in statuses),
    )  # fmt: skip
    quota = [(one["name"], one["quota"]) for one in statuses]
    yield gauge(
        "trivet_upstream_day_requests", "Requests of today by the vendor's count.", ["upstream"],
        (([name], told["requests"]) for name, told in quota),
    )  # fmt: skip
    yield gauge(
        "trivet_upstream_day_requests_allowed", "Requests that the vendor allows a day.", ["upstream"],
        (([name], told["requests_per_day"]) for name, told in quota),
    )  # fmt: skip
    budgets = [(one["name"], told) for one in statuses for told in one["budgets"]]
    for name, help_text, key in (
        ("trivet_upstream_day_bytes", "Bytes moved today.", "used_bytes"),
        ("trivet_upstream_day_allowed_bytes", "Bytes that may be moved a day.", "limit_bytes"),
        (
            "trivet_upstream_user_day_allowed_bytes",
            "Bytes that each user may move a day.",
            "user_limit_bytes",
        ),
    ):
        rows = (([upstream, told["direction"]], told[key]) for upstream, told in budgets)
        yield gauge(name, help_text, ["upstream", "direction"], rows)
    yield gauge(
        "trivet_upstream_queue_depth", "What waits for the vendor, or for somebody's word.",
        ["upstream", "queue"], _queues(statuses),
    )  # fmt: skip
    yield from _of_caches(caches)


def _queues(statuses: Sequence[Told]) -> Rows:
    for one in statuses:
        name, queue = one["name"], one.get("queue")
        yield [name, "outbox"], one["outbox"]
        for budget in one["budgets"]:
            yield [name, f"{budget['direction']}s waiting"], budget["waiting"]
        yield [name, "transfers parked"], None if queue is None else queue["parked"]
        yield [name, "removals held"], one.get("held_removals", 0)


def _of_caches(caches: Sequence[Told]) -> Iterator[Metric]:
    layers = [([one["upstream"], layer["layer"]], layer) for one in caches for layer in one["layers"]]
    labels = ["upstream", "layer"]
    for name, help_text, key in (
        ("trivet_upstream_cache_hits", "Asked for and there, by layer.", "hits"),
        ("trivet_upstream_cache_misses", "Asked for and not there, by layer.", "misses"),
        ("trivet_upstream_cache_served_bytes", "Bytes served from the layer.", "served_bytes"),
    ):
        yield counter(name, help_text, labels, ((values, layer[key]) for values, layer in layers))
    for name, help_text, key in (
        ("trivet_upstream_cache_bytes", "Bytes in the layer.", "size_bytes"),
        ("trivet_upstream_cache_allowed_bytes", "Bytes that may be in the layer.", "limit_bytes"),
        ("trivet_upstream_cache_items", "Things in the layer.", "items"),
    ):
        yield gauge(name, help_text, labels, ((values, layer[key]) for values, layer in layers))
    yield counter(
        "trivet_upstream_cache_evicted", "Bodies given up to make room.", ["upstream"],
        (([one["upstream"]], one["evicted"]) for one in caches),
    )  # fmt: skip


def gauge(name: str, help_text: str, labels: Sequence[str], rows: Rows) -> GaugeMetricFamily:
    """Return the family of the `rows` (values of `labels`, value); None is left out."""
    return _filled(GaugeMetricFamily(name, help_text, labels=labels), rows)


def counter(name: str, help_text: str, labels: Sequence[str], rows: Rows) -> CounterMetricFamily:
    """As `gauge`, of what only grows; `name` without its "_total"."""
    return _filled(CounterMetricFamily(name, help_text, labels=labels), rows)


def _filled(family: Family, rows: Rows) -> Family:
    for values, value in rows:
        if value is not None:
            family.add_metric(values, value)
    return family
