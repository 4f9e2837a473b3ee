"""Alerts: 12 and 120 windows of 10 s, threshold 1.5; raised and cleared with the figures."""

import pytest

from trivet.errors import InputError
from trivet.insight.logs.alert import Alarm, AlertChanged, AlertRule


def run(rule: AlertRule, values: list[float], hits: int = 100) -> list[AlertChanged]:
    """Return what an alarm says of `values`, one a window from time 0."""
    alarm = Alarm(rule)
    changes = [alarm.close_window((k + 1) * rule.time_resolution_s, v, hits) for k, v in enumerate(values)]
    return [change for change in changes if change]


def test_the_default_parameters() -> None:
    rule = AlertRule()
    assert (rule.short_median, rule.long_median, rule.threshold, rule.time_resolution_s) == (12, 120, 1.5, 10)
    assert rule.watched == "bytes"


def test_raised_and_cleared_with_both_averages() -> None:
    # 132 windows of 100, then 300: the short average is over 150 with the fourth (3 * 300 + 9 * 100 = 1800,
    # 1800 / 12 = 150 is not more than 1.5 * 100; 4 * 300 + 8 * 100 = 2000 is)
    changes = run(AlertRule(), [100.0] * 132 + [300.0] * 12 + [100.0] * 40)
    assert [(c.raised, c.time_s) for c in changes] == [(True, 1360), (False, 1520)]
    raised, cleared = changes
    assert raised.short_average == pytest.approx(2000 / 12)
    assert raised.long_average == 100
    # eight of the burst's windows left the short windows for the long ones before it was over
    assert cleared.short_average == pytest.approx((8 * 100 + 4 * 300) / 12)
    assert cleared.long_average == pytest.approx((112 * 100 + 8 * 300) / 120)


@pytest.mark.parametrize("first", [0.0, 1.0, 50.0])
def test_a_fresh_start_does_not_alarm(first: float) -> None:
    assert run(AlertRule(), [first, *[100.0] * 300]) == []


def test_averages_are_over_windows_that_exist() -> None:
    changes = run(AlertRule(), [100.0] * 40 + [300.0] * 4)
    assert [c.raised for c in changes] == [True]
    assert changes[0].long_average == 100


def test_a_quiet_site_does_not_alarm() -> None:
    assert run(AlertRule(watched="hits", minimum_rate=1.0), [2.0] * 132 + [9.0] * 12, hits=3) == []
    assert run(AlertRule(watched="hits", minimum_rate=0.1), [2.0] * 132 + [9.0] * 12, hits=3) != []


def test_hysteresis_clears_later() -> None:
    values = [100.0] * 132 + [300.0] * 12 + [100.0] * 40
    plain, sticky = run(AlertRule(), values), run(AlertRule(hysteresis=0.2), values)
    assert sticky[0] == plain[0]
    assert sticky[1].time_s > plain[1].time_s


def test_a_long_silence_is_as_good_as_every_quiet_window() -> None:
    rule = AlertRule(short_median=2, long_median=4)
    alarm = Alarm(rule)
    for k in range(12):
        alarm.close_window(k * 10, 100.0 if k < 8 else 900.0, 10)
    assert alarm.raised
    cleared = alarm.close_quiet_windows(120, 10**9)
    assert [c.raised for c in cleared] == [False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"short_median": 120}, "short median .120. must be smaller than the long median .120."),
        ({"short_median": 200}, "must be smaller"),
        ({"threshold": 1.0}, "must be bigger than 1"),
        ({"threshold": float("nan")}, "must be bigger than 1"),
        ({"time_resolution_s": 0}, "1 or more"),
        ({"hysteresis": 1.0}, "hysteresis"),
    ],
)
def test_parameters_are_checked(options: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        AlertRule(**options)  # type: ignore[arg-type]
