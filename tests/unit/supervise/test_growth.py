"""Leaks are named with their process, and the rest is left as it was."""

from trivet.supervise.growth import LeakWatch
from trivet.wire.health_messages import ProcessFigures

MIB = 1 << 20


def figures(pid: int, rss_bytes: int, handles: int | None) -> ProcessFigures:
    return ProcessFigures(
        pid, 1, "door worker", f"worker {pid}", 1.0, rss_bytes, None, handles, 1, None, None, 1.0
    )


def test_memory_and_handles_that_only_grow_are_named_with_their_process() -> None:
    watch = LeakWatch()
    marked = []
    for minute in range(40):
        for second in range(0, 60, 10):
            marked = watch.mark(
                minute * 60 + second,
                [
                    figures(1, 100 * MIB + minute * 2 * MIB, 50),
                    figures(2, 100 * MIB + second * MIB, 50 + 4 * minute),
                    figures(3, 100 * MIB + second * MIB, None),
                ],
            )
    assert [one.leak for one in marked] == ["memory", "handles", None]
    assert "grew from" in marked[0].leak_why
    assert "MB" in marked[0].leak_why
    assert marked[1].leak_why.startswith("handles grew from ")


def test_a_process_that_ended_is_forgotten() -> None:
    watch = LeakWatch()
    for pid in range(1000):
        watch.mark(float(pid), [figures(pid, MIB, 1)])
    assert len(watch._rows) == 1
