"""The live view: what it shows of a status, and its rates."""

import pytest
from rich.console import Console

from trivet.supervise.live_view import Rates, rates_between, render, size_text
from trivet.wire.control_messages import (
    BankStatus,
    Child,
    Children,
    KeeperStatus,
    ScrubState,
    ServerState,
    ServerStatus,
    Status,
    Traffic,
)

CHILDREN = Children([Child("bank", 7000, 5, "up", "log")], "/drive")


def drawn(status: Status | None, rates: Rates | None = None, problem: str = "") -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        console.print(render(status, CHILDREN, rates or Rates(), problem))
    return captured.get()


def status_with(state: ServerState, *, healthy: bool) -> Status:
    servers = [ServerStatus(7000, state, 12, 3, 4, 1, 0, 12_345_678), ServerStatus(7001, "up")]
    return Status("00ff", healthy, [BankStatus(7000, servers)], KeeperStatus(9, 1, 50, 49), 1, 7, 3.4, 0.25)


def test_a_healthy_drive() -> None:
    text = drawn(status_with("up", healthy=True), Rates(1234, 5_000_000, 10))
    for word in ("12.3 MB", "The drive is healthy", "repaired so far 7", "slot 50", "3 s ago", "/drive"):
        assert word in text
    assert "1,234 operations/s, reading 5.0 MB/s, writing 10 B/s" in text


@pytest.mark.parametrize("state", ["down", "hung", "stopped", "full", "joining"])
def test_what_is_away_is_named(state: ServerState) -> None:
    text = drawn(status_with(state, healthy=False))
    assert "NOT healthy" in text
    assert f"bank 7000: server 7000 {state}" in text
    assert ("`trivet start 7000`" in text) == (state == "stopped")


def test_no_keeper_and_a_running_scrub() -> None:
    assert "No status: it died" in drawn(None, problem="it died")
    status = Status("00ff", True, [], scrub=ScrubState("running", 25, 100, 0, 2_000_000))
    assert "Scrub: running, 25%, 2.0 MB/s" in drawn(status)
    assert "! possibly stale" in drawn(Status("00ff", False, [], notes=["possibly stale"]))


def test_hosts_are_named_where_there_are_any() -> None:
    servers = [ServerStatus(7000, "up", host="alpha.example"), ServerStatus(7001, "down", host="beta")]
    text = drawn(Status("00ff", False, [BankStatus(7000, servers)]))
    assert [line.split()[:4] for line in text.splitlines()[:3]] == [
        ["bank", "server", "host", "state"], ["7000", "7000", "alpha.example", "up"],
        ["7001", "beta", "down", "-"],
    ]  # fmt: skip
    assert "bank 7000: server 7001 (on beta) down" in text
    assert "host" not in drawn(status_with("up", healthy=True))


def test_rates() -> None:
    before, after = Traffic(100, 0, 50), Traffic(300, 1000, 50)
    assert rates_between(before, after, 2.0) == Rates(100.0, 500.0, 0.0)
    assert rates_between(after, before, 2.0) == Rates()
    assert rates_between(before, after, 0.0) == Rates()


def test_sizes() -> None:
    sizes = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 10**9: "1.0 GB", 5 * 10**15: "5000.0 TB"}
    for size, text in sizes.items():
        assert size_text(size) == text
