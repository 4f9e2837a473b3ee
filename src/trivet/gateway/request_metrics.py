"""What the workers of the door count for /metrics: requests, their durations and bytes, hits of the cache.

Rule: each worker counts in a file of its own, named by its number, which its successor goes on with; whoever
is asked for the metrics adds up all files. So nothing is lost when a worker ends, and nothing piles up.
"""

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from trivet.gateway.teardown import Scope

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_FACES = {"drive": "drive", "upload": "drive", "batch": "drive", "api": "native"}
_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when a value's file is opened


class RequestMetrics:
    """Counts in `folder` as the worker `name`, which no other that runs has."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[_FOLDER_VARIABLE] = str(folder)
        values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        self._seconds = Histogram(
            "trivet_request_seconds", "How long requests took, from the first to the last byte.",
            ["face"], buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._requests = Counter(
            "trivet_requests",
            "Requests answered; faces are native, drive, page.",
            ["face", "method", "status"],
            registry=registry,
        )
        self._bytes = Counter(
            "trivet_response_bytes", "Bytes of answers, without headers.", ["face"], registry=registry
        )
        cache = Counter(
            "trivet_cache_requests", "Downloads that the memory of a worker could serve (hit) or not (miss).",
            ["result"], registry=registry,
        )  # fmt: skip
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram, Counter]] = {}
        self._hits, self._misses = cache.labels("hit"), cache.labels("miss")

    def answered(self, scope: Scope, status: int, size_bytes: int, duration_s: float) -> None:
        """Count one request; a WebSocket's duration says nothing and is left out."""
        face = _FACES.get(scope["path"].split("/", 2)[1], "page")
        method = scope.get("method", "GET")
        key = (face, method if method in _METHODS else "other", status // 100)
        known = self._known.get(key)
        if known is None:  # labels() is what costs
            requests = self._requests.labels(face, key[1], f"{key[2]}xx")
            known = self._known[key] = (requests, self._seconds.labels(face), self._bytes.labels(face))
        requests, seconds, sent = known
        requests.inc()
        sent.inc(size_bytes)
        if scope["type"] == "http":
            seconds.observe(duration_s)

    def cache_asked(self, found: bool) -> None:
        """Count one question to the memory of hot files."""
        (self._hits if found else self._misses).inc()

    def collect_into(self, registry: CollectorRegistry) -> None:
        """Have `registry` tell what all workers counted, together."""
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call]


_METHODS = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"}
