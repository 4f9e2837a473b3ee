"""Pairs, the busiest client, steady paces, changes of pace, URL storms."""

import numpy as np
import pytest
from made_arrivals import HOUR, START, crowd, fleet, poisson, table

from trivet.errors import InputError
from trivet.insight.arrival_builder import ArrivalBuilder
from trivet.insight.flood import busiest, pairing, top_pairs
from trivet.insight.flood_report import analyse
from trivet.insight.log_time import log_time, tick_counts

LATE = 1e12


def even(hours: range, per_hour: int) -> np.ndarray:
    """Return evenly spaced times in whole hours after START."""
    return np.concatenate([START + h * HOUR + np.arange(per_hour) * HOUR / per_hour for h in hours])


@pytest.mark.parametrize(
    ("pair_by", "target", "expected"),
    [
        ("target", b"/a?x=1&action=get", b"/a?x=1&action=get"),
        ("path", b"/a?x=1&action=get", b"/a"),
        ("path+action", b"/a?x=1&action=get", b"/a get"),
        ("path+action", b"/a?action=get&action=put", b"/a get"),
        ("path+action", b"/a?x=1", b"/a"),
        ("path+action", b"/a", b"/a"),
        ("path+x+action", b"/a?action=get&x=1", b"/a 1 get"),
        ("path+action", b"?&&=&action", b" "),
    ],
)
def test_pairing(pair_by: str, target: bytes, expected: bytes) -> None:
    assert pairing(pair_by)(target) == expected


@pytest.mark.parametrize("pair_by", ["", "url", "path+", "path+a+", "path-a", "target+a"])
def test_pairing_refuses(pair_by: str) -> None:
    with pytest.raises(InputError, match="--pair-by"):
        pairing(pair_by)


def test_pairs_are_counted_and_ties_ordered_by_name() -> None:
    builder = ArrivalBuilder()
    for k, (ip, url) in enumerate(
        [(b"2", b"/b"), (b"1", b"/b"), (b"1", b"/a"), (b"9", b"/z"), (b"9", b"/z")]
    ):
        builder.add(ip, url, START + k, 0, "f", k + 1)
    arrivals = builder.build()
    assert top_pairs(arrivals) == [("9", "/z", 2), ("1", "/a", 1), ("1", "/b", 1), ("2", "/b", 1)]
    assert top_pairs(arrivals, 2) == [("9", "/z", 2), ("1", "/a", 1)]


def test_hours_are_the_logs_own_and_the_silent_ones_are_shown() -> None:
    arrivals = table([(np.array([START + 0.0, START + 3 * HOUR]), "a", "/")], offset_s=-5 * HOUR)
    found = busiest(arrivals, log_time(tick_counts(arrivals.t, arrivals.offset_s), LATE).shown)
    assert found is not None
    assert next(iter(found.hours)) == "2024-06-02T00"
    assert list(found.hours)[-1] == "2024-06-02T23"
    assert {hour for hour, n in found.hours.items() if n} == {"2024-06-02T19", "2024-06-02T22"}


def test_hours_after_now_are_not_called_silent() -> None:
    arrivals = table([(np.array([START + 9.5 * HOUR]), "a", "/")])
    found = busiest(arrivals, log_time(tick_counts(arrivals.t, arrivals.offset_s), START + 11.2 * HOUR).shown)
    assert found is not None
    assert list(found.hours)[-1] == "2024-06-03T11"


def test_a_stamp_from_another_age_counts_but_does_not_stretch_the_log() -> None:
    rng = np.random.default_rng(1)
    wild = [(np.array([253402300000.0]), "10.0.0.1", "/checkin"), (np.array([1.0]), "10.0.0.2", "/checkin")]
    report = analyse(table(fleet(rng, 1, jitter_s=2, loss=0) + wild), LATE)
    assert report.far_stamps == 2
    assert report.busiest is not None
    assert len(report.busiest.hours) == 24
    assert len(report.findings["lockstep"][0]["devices"]) == 60
    assert report.top_pairs[0] == ("10.0.0.1", "/checkin", 25)


def test_a_device_on_a_clock_is_named_with_its_pace_and_start() -> None:
    rng = np.random.default_rng(2)
    before = np.sort(START + rng.uniform(10 * HOUR, 18 * HOUR, 90))
    groups = [
        (before, "10.1.1.254", "/reminder"),
        (even(range(18, 24), 24)[::2], "10.1.1.254", "/reminder"),
        (even(range(18, 24), 24)[1::2], "10.1.1.254", "/favorite"),
    ]
    (found,) = analyse(table(groups + crowd(rng, 24, 300)), LATE).findings["steady"]
    assert (found["ip"], found["per_hour"], found["urls"]) == ("10.1.1.254", 24, 2)
    assert found["since"].startswith("2024-06-03T18:00")


def test_a_short_log_shows_a_beat_over_several_urls() -> None:
    rng = np.random.default_rng(3)
    beat = even(range(2), 40)
    groups = [(beat[k::4], "10.1.1.7", f"/part/{k}") for k in range(4)]
    (found,) = analyse(table(groups + crowd(rng, 2, 200)), LATE).findings["steady"]
    assert (found["ip"], found["per_hour"], found["urls"]) == ("10.1.1.7", 40, 4)


def test_a_client_that_quickens_is_named_with_what_was_usual() -> None:
    rng = np.random.default_rng(4)
    calm = poisson(rng, 24, clients=1, per_hour=10, url="/api", net="10.2.0")
    wild = poisson(rng, 2, clients=1, per_hour=300, url="/api", net="10.2.0", begin=START + 15 * HOUR)
    (found,) = analyse(table(calm + wild + crowd(rng, 24, 4000)), LATE).findings["pace"]
    assert found["ip"] == "10.2.0.0"
    assert 5 < found["usual"] < 16
    assert found["peak"] > 250
    assert found["since"].startswith("2024-06-03T15:")
    assert found["until"].startswith("2024-06-03T16:")
    assert found["examples"][0]["line"] > 1


def test_a_busy_morning_of_everybody_accuses_nobody() -> None:
    rng = np.random.default_rng(5)
    groups = []
    for url, net in (("/", "10.3.0"), ("/news", "10.3.1")):
        groups += poisson(rng, 8, clients=40, per_hour=8, url=url, net=net)
        groups += poisson(rng, 8, clients=40, per_hour=60, url=url, net=net, begin=START + 8 * HOUR)
    report = analyse(table(groups), LATE)
    assert report.findings["pace"] == []
    assert report.findings["storms"] == []


def test_a_new_url_that_everybody_asks_for_is_a_storm() -> None:
    rng = np.random.default_rng(6)
    storm = poisson(rng, 1, clients=80, per_hour=5, url="/new", net="10.4.0", begin=START + 20 * HOUR)
    (found,) = analyse(table(storm + crowd(rng, 24, 8000)), LATE).findings["storms"]
    assert found["url"] == "/new"
    assert found["usual"] == 0
    assert found["clients"] > 60
    assert found["since"].startswith("2024-06-03T20:")
    assert "not asked for before" in found["why"]


def test_an_empty_log_gives_an_empty_report() -> None:
    report = analyse(ArrivalBuilder().build(), LATE)
    assert report.as_json() == {
        "top_pairs": [], "busiest": None, "lockstep": [], "steady": [], "pace": [], "storms": [],
    }  # fmt: skip
