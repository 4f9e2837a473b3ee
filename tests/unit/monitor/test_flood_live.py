"""Live floods under a small memory cap: the window shrinks, the counts become estimates, both are said."""

from datetime import UTC, datetime
from pathlib import Path

from trivet.io.log_tail import LogTail
from trivet.monitor.flood_live import LiveFloods

START = 1717372800


def line(t: float, ip: str, url: str) -> str:
    """Return a Common line."""
    stamp = datetime.fromtimestamp(int(t), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{ip} - - [{stamp}] "GET {url} HTTP/1.1" 200 1\n'


def test_the_cap_holds_and_is_said(tmp_path: Path) -> None:
    path = tmp_path / "busy.log"
    rows = [(k * 0.5, f"10.1.{k % 250}.1", f"/item/{k}") for k in range(20_000)]
    rows += [(k * 150.0, f"10.0.0.{d}", "/checkin") for k in range(66) for d in range(8)]
    path.write_text("".join(line(START + t, ip, url) for t, ip, url in sorted(rows)))
    live = LiveFloods(LogTail([str(path)], from_start=True), memory_cap_bytes=2 << 20)
    while live.read(0.0):
        pass
    assert live.records == 20_528
    assert live._builder.size_bytes <= 2 << 20
    assert any("the memory cap is reached" in note for note in live.notes)
    assert live.pairs.approximate
    assert live.pairs.error_bound > 0
    live.tail.close()


def test_old_requests_leave_the_window(tmp_path: Path) -> None:
    path = tmp_path / "day.log"
    fleet = [(k * 150.0, f"10.0.0.{d}", "/checkin") for k in range(24) for d in range(8)]
    late = [(20 * 3600.0 + k, "10.9.9.9", f"/p/{k}") for k in range(9)]
    path.write_text("".join(line(START + t, ip, url) for t, ip, url in fleet))
    live = LiveFloods(LogTail([str(path)], from_start=True))
    live.read(0.0)
    assert [kind for kind, _ in live.judge(1e12)] == ["lockstep"]
    with path.open("a") as log:
        log.write("".join(line(START + t, ip, url) for t, ip, url in late))
    live.read(1.0)
    assert list(live.judge(1e12)) == []
    assert len(live._builder) == 9
    live.tail.close()
