"""A kernel that is not compiled yet holds nothing up: the regular expressions count until it is."""

import contextlib
from pathlib import Path

import pytest

from trivet.insight.logs.alert import AlertRule
from trivet.io.log_tail import LogTail
from trivet.monitor.logs import kernel_ready
from trivet.monitor.logs.live import LiveLogs

LINE = '10.0.0.%d - - [03/Jun/2024:10:00:00 +0000] "GET /a/%d HTTP/1.1" 200 100 "-" "x"\n'


async def test_lines_are_counted_while_the_kernel_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_ready, "kernel_is_compiled", lambda: False)
    path = tmp_path / "a.log"
    path.write_text("".join(LINE % (k % 9, k % 50) for k in range(1000)))
    live = LiveLogs(LogTail([str(path)], True), AlertRule())
    engines = []
    batches = live.batches()
    async with contextlib.aclosing(batches):
        async for _ in batches:
            engine = live.reading().engine.name
            if live.progress.handled and engine not in engines:
                engines.append(engine)
                with path.open("a") as out:
                    out.write("".join(LINE % (k % 7, k % 60) for k in range(500)))
            if live.progress.handled == 2000:
                break
    assert engines == ["regex", "kernel"]
    summary = live.finish().summary
    assert (summary.lines, summary.records, summary.bytes_sum) == (2000, 2000, 200_000)
    assert (summary.distinct_ips, summary.distinct_urls, summary.sections) == (
        9,
        60,
        {b"/a": (2000, 200_000)},
    )
    assert any("reads from now on" in note for note in live.notes)
    live.tail.close()
