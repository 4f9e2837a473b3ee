"""Prints docs/guide/metrics.md from the metrics' own help; `make docs` keeps it, a test holds it true."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from trivet.gateway.drive_metrics import DriveMetrics, Vendors
from trivet.gateway.metrics_routes import metrics_text
from trivet.gateway.request_metrics import RequestMetrics
from trivet.upstream.cache_telling import CacheTold, Layer
from trivet.upstream.requesting import QueueTold
from trivet.upstream.telling import BudgetTold, QuotaTold, UpstreamStatus
from trivet.wire.control_messages import BankStatus, ServerStatus, Status
from trivet.wire.health_messages import DriveFigures, MachineFigures, ProcessFigures, ScalingState

# ruff: noqa: E501 (lines of a table)
HEAD = """<!-- Written by `make docs` from the metrics' own help: change the help, not this page. -->
# Every metric

`/metrics` in Prometheus's text format: of one drive, all workers of its door added up. It wants a login or a token;
with `--no-auth` it wants neither:

```
trivet token create --user ann --scope / --verbs r
curl -H 'Authorization: Bearer TOKEN' http://127.0.0.1:8080/metrics
```

What is not known is left out, never told as 0; `trivet_up` says who answered. What the words mean, and what to do
about them: [health.md](health.md), [recovery.md](recovery.md).
"""
ALARMS = """
## What to be woken for

| rule | why |
|---|---|
| `trivet_up{part="keeper"} == 0` for 1 minute | nobody can read or write |
| `trivet_healthy == 0` for 10 minutes | something is away or damaged and has not come back by itself |
| `trivet_redundancy_missing > 0` for 1 hour | files have fewer than three copies |
| `increase(trivet_degraded_commits_total[10m]) > 0` for 1 hour | a bank is away, or too slow for what is written |
| `trivet_process_leaking == 1` | a process grows without end |
| `trivet_machine_used_ratio{what="memory"} > 0.9` for 10 minutes | the next thing that happens is the kernel's choice |
"""


def everything() -> DriveMetrics:
    """Return a drive of which everything can be told."""
    banks = [BankStatus(7000, [ServerStatus(7000, "up", 1, 1, 1, bytes=1)])]
    status = Status("00", True, banks, refresh_age_s=1)
    status = msgspec.structs.replace(status, scrub=msgspec.structs.replace(status.scrub, oldest_age_s=1.0))
    one = ProcessFigures(1, 1, "keeper", "keeper", 1, 1, 1, 1, 1, None, None, 1, waiting_percent=1)
    scaling = ScalingState(1, 1, 1, 0, 1, 80, 40, 85, None, "")
    figures = DriveFigures(1, 1, MachineFigures(2, 1, 1, 1, 1, 0, 0), [one], scaling)
    budgets = [BudgetTold("download", 2, 2, 1, 1, 0, 1)]
    vendor = UpstreamStatus(
        "google", "/google", "http://v", True, "", "closed", 1, 0, 0, 0, 1,
        QuotaTold(1, 1, 1, None, None), budgets, [], [], 0, 0, QueueTold("sqlite", "sqlite", 0, ""),
    )  # fmt: skip
    cache = CacheTold("google", "/google", 1, 1, [Layer("volume", 1, 1, 0.5, 1, 1, 1, 1)], 1, 1, 1, [], [])
    vendors = Vendors(msgspec.to_builtins([vendor]), msgspec.to_builtins([cache]))
    return DriveMetrics(status, figures, {"transfers running": 1}, vendors, {"ann": 1})


def families() -> Iterator[Metric]:
    """Yield every family with at least one sample."""
    with tempfile.TemporaryDirectory() as folder:
        counted = RequestMetrics(Path(folder), "1")
        counted.answered({"type": "http", "path": "/api/v1/me", "method": "GET"}, 200, 1, 0.1)
        yield from text_string_to_metric_families(metrics_text(everything(), counted).decode())


def row(family: Metric) -> str:
    """Return a line of the table."""
    labels = sorted({label for one in family.samples for label in one.labels} - {"le"})
    names = "{" + ",".join(labels) + "}" if labels else ""
    end = {"counter": "_total"}.get(family.type, "")
    return f"| `{family.name}{end}{names}` | {family.type} | {family.documentation} |"


print(HEAD)
print("| metric | type | what |\n|---|---|---|")
print("\n".join(sorted(row(family) for family in families())))
print(ALARMS, end="")
