"""What /metrics tells of the drive itself: what keeper and supervisor say, what the door's rows count.

Rule: names end in their unit, shares are ratios from 0 to 1, as Prometheus wants it.
Rule: what is not known is left out, never told as 0; `trivet_up` says who answered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, Metric

from trivet.gateway.upstream_metrics import Rows, Told, gauge, upstream_families
from trivet.wire.control_messages import BankStatus, ServerStatus, Status
from trivet.wire.health_messages import DriveFigures, ProcessFigures


@dataclass(frozen=True, slots=True)
class Vendors:
    """What the upstream's process tells; None of either: it did not answer."""

    statuses: Sequence[Told] | None
    caches: Sequence[Told] | None


@dataclass(frozen=True, eq=False)
class DriveMetrics:
    """Collects for one answer; `moving` counts transfers of the door that are not over by what they do.

    `vendors` is None when there are none, `users` their requests of today (for administrators).
    """

    status: Status | None
    figures: DriveFigures | None
    moving: Mapping[str, int] = field(default_factory=dict)
    vendors: Vendors | None = None
    users: Mapping[str, int] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        """Yield all families."""
        told: dict[str, object] = {"keeper": self.status, "supervisor": self.figures}
        if self.vendors is not None:
            told["upstream"] = self.vendors.statuses
        yield gauge(
            "trivet_up", "Whether this part of the drive answers; the rest is told all the same.", ["part"],
            (([part], float(answer is not None)) for part, answer in told.items()),
        )  # fmt: skip
        if self.status is not None:
            yield from _of_status(self.status)
        if self.figures is not None:
            yield from _of_figures(self.figures)
        if self.vendors is not None:
            yield from upstream_families(self.vendors.statuses or (), self.vendors.caches or ())
        yield gauge(
            "trivet_queue_depth", "What waits: damage to be repaired, transfers that are not finished.",
            ["queue"], self._queues(),
        )  # fmt: skip
        if self.users:
            yield gauge("trivet_user_day_requests", "Requests of today of those who ask most.", ["user"],
                        (([user], count) for user, count in self.users.items()))  # fmt: skip

    def _queues(self) -> Rows:
        if self.status is not None:
            yield ["repairs"], self.status.open_damage
        for what, count in self.moving.items():
            yield [what], count


def _of_status(status: Status) -> Iterator[Metric]:
    yield gauge("trivet_healthy", "1 when every copy is whole and nothing is open.", [],
                 [([], float(status.healthy))])  # fmt: skip
    yield gauge(
        "trivet_redundancy_missing",
        "Copies that differ or are out of reach; of a server that is away, all it should hold.", ["bank"],
        (([str(bank.base)], _missing(bank, status.banks)) for bank in status.banks),
    )  # fmt: skip
    servers = [(bank, server) for bank in status.banks for server in bank.servers]
    yield gauge(
        "trivet_server_up", "Whether the server answers and is whole.", ["bank", "server"],
        (([str(bank.base), str(one.port)], float(one.state == "up")) for bank, one in servers),
    )  # fmt: skip
    yield gauge(
        "trivet_stored_bytes", "What the server stores.", ["bank", "server"],
        (([str(bank.base), str(one.port)], one.bytes) for bank, one in servers),
    )  # fmt: skip
    yield gauge(
        "trivet_scrub_oldest_verified_seconds",
        "No byte was last verified longer ago; before the first round ends at least this.", [],
        [([], status.scrub.oldest_age_s)],
    )  # fmt: skip
    yield gauge("trivet_refresh_age_seconds", "How long ago the last comparison of all banks ended.", [],
                 [([], status.refresh_age_s)])  # fmt: skip
    for name, help_text, value in (
        ("trivet_repairs", "Copies repaired since the drive was made.", status.repaired_total),
        ("trivet_degraded_commits", "Commits acknowledged while not all banks kept up, since the keeper "
         "began.", status.checks.degraded_commits),
        ("trivet_commits", "Commits since the keeper began.", status.traffic.operations),
        ("trivet_volume_read_bytes", "Bytes read from banks.", status.traffic.read_bytes),
        ("trivet_volume_written_bytes", "Bytes written to banks.", status.traffic.written_bytes),
        ("trivet_copies_read", "Copies read for people and repairs.", status.checks.copies_read),
        ("trivet_copies_verified", "Of these, copies that were right.", status.checks.copies_verified),
        ("trivet_scrubbed_bytes", "Bytes read by the scrub.", status.checks.scrubbed_bytes),
    ):  # fmt: skip
        yield CounterMetricFamily(name, help_text, value=value)


def _missing(bank: BankStatus, banks: Sequence[BankStatus]) -> int:
    """Return how many copies `bank` lacks; for a server that is away, what its like in another bank holds."""
    missing = 0
    for place, server in enumerate(bank.servers):
        if server.state in ("up", "full"):
            missing += server.divergent
            continue
        like = [other.servers[place] for other in banks if other is not bank and place < len(other.servers)]
        missing += max((_items(one) for one in [server, *like]), default=0)
    return missing


def _items(server: ServerStatus) -> int:
    return (server.blobs or 0) + (server.records or 0)


def _of_figures(figures: DriveFigures) -> Iterator[Metric]:
    machine, processes = figures.machine, figures.processes
    shares = [(["cpu"], machine.cpu_percent), (["memory"], machine.memory_percent)]
    yield gauge(
        "trivet_machine_used_ratio", "How busy the machine is.", ["what"],
        ((what, None if percent is None else percent / 100) for what, percent in shares),
    )  # fmt: skip
    for name, help_text, of in (
        ("trivet_process_cpu_ratio", "CPU in use; 1 is one core.",
         lambda one: None if one.cpu_percent is None else one.cpu_percent / 100),
        ("trivet_process_waiting_ratio", "Share of the time that it was ready and no processor was free.",
         lambda one: None if one.waiting_percent is None else one.waiting_percent / 100),
        ("trivet_process_resident_bytes", "Memory in use.", lambda one: one.rss_bytes),
        ("trivet_process_private_bytes", "Memory that no other process shares.",
         lambda one: one.private_bytes),
        ("trivet_process_handles", "Open files and sockets.", lambda one: one.handles),
        ("trivet_process_threads", "Threads.", lambda one: one.threads),
        ("trivet_process_leaking", "1 when memory or handles only grow.",
         lambda one: float(one.leak is not None)),
    ):  # fmt: skip
        rows = ((_labels(one), of(one)) for one in processes)
        yield gauge(name, help_text, ["role", "name", "pid"], rows)
    scaling = figures.scaling
    if scaling is not None:
        counts = [("running", scaling.workers), ("most", scaling.max_workers), ("outside", scaling.outside)]
        yield gauge("trivet_workers", "Workers of the door: running, at most, asked for elsewhere.",
                     ["what"], (([what], count) for what, count in counts))  # fmt: skip


def _labels(one: ProcessFigures) -> list[str]:
    return [one.role, one.name, str(one.pid)]
