"""The chart of uptime draws what the table says, whatever the period."""

import pytest

from trivet.monitor.chart_files import chart_svg
from trivet.monitor.uptime_view import chart


@pytest.mark.parametrize(
    ("by", "period", "label"),
    [("month", "2026-11", "Nov 2026"), ("day", "2026-11-22", "Nov 22, 2026"),
     ("hour", "2026-11-22T08", "Nov 22, 2026 08:00")],
)  # fmt: skip
def test_a_period_of_failures_is_a_full_bar(by: str, period: str, label: str) -> None:
    row = {"url": "http://x/", "place": "london", "samples": 2, "period": period}
    svg = chart_svg(chart([row | {"availability": 0.0, "over_1s": 0.0, "over_10s": 0.0}], by))
    assert f"{label}; % of requests: 100; what: no good answer" in svg
