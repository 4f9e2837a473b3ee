"""Vendors in short, asked of a socket that answers as the upstreams' process does."""

from pathlib import Path

import msgspec

from trivet.io.control_socket import serve_control
from trivet.monitor.board.vendors import upstreams_told
from trivet.upstream.telling import (
    BudgetTold,
    QuotaTold,
    Statuses,
    TransfersTold,
    TransferTold,
    UpstreamStatus,
)
from trivet.upstream.transfers import Transfer

BUDGETS = [
    BudgetTold("download", 1000, None, 400, 600, 2, 0.0),
    BudgetTold("upload", None, None, 7, None, 1, 0.0),
]
STATUS = UpstreamStatus(
    "google",
    "/google",
    "http://x",
    True,
    "",
    "closed",
    1.0,
    10,
    3,
    0,
    9,
    QuotaTold(5, 100, 5, None, None),
    BUDGETS,
    [],
    [],
)
PARKED = Transfer("k", "i", 1, "ann", "upload", "a.txt", 5, 0, "parked", None, 0.0, 0.0)


async def test_a_vendor(tmp_path: Path) -> None:
    async def status(_: object, __: object) -> dict[str, object]:
        told: dict[str, object] = msgspec.to_builtins(Statuses([STATUS]))
        return told

    async def transfers(_: object, __: object) -> dict[str, object]:
        told: dict[str, object] = msgspec.to_builtins(TransfersTold([TransferTold("google", PARKED, None)]))
        return told

    async with serve_control(tmp_path / "up.sock", {"status": status, "transfers": transfers}):
        (told,) = await upstreams_told(tmp_path / "up.sock", 1.0)
    assert (told.name, told.healthy, told.requests, told.requests_per_day) == ("google", True, 5, 100)
    assert (told.outbox, told.waiting, told.parked) == (3, 3, 1)
    assert told.budgets == [("download", 400, 1000), ("upload", 7, None)]


async def test_no_vendors_and_one_that_does_not_answer(tmp_path: Path) -> None:
    assert await upstreams_told(tmp_path / "none.sock", 1.0) == []
    async with serve_control(tmp_path / "up.sock", {}):
        (told,) = await upstreams_told(tmp_path / "up.sock", 1.0)
    assert not told.healthy
    assert "no control verb" in told.trouble
