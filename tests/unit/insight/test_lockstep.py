"""Lock-step fleets: found within one hour, through jitter and loss, and never in random logs."""

import numpy as np
import pytest
from made_arrivals import HOUR, START, crowd, fleet, poisson, table

from trivet.insight.fleets import find_lockstep
from trivet.insight.flood_report import analyse
from trivet.insight.lockstep import MIN_DEVICES

LATE = 1e12


def others(rng: np.random.Generator, hours: float):
    """Return the traffic around a fleet: visitors, and clients at the fleet's own URL and pace at random."""
    return crowd(rng, hours, int(1500 * hours)) + poisson(
        rng, hours, clients=20, per_hour=24, url="/checkin", net="172.16.9"
    )


def devices_of(finding, net: str = "10.0.") -> tuple[int, int]:
    """Return how many members belong to the fleet, and how many do not."""
    mine = sum(device.startswith(net) for device in finding.devices)
    return mine, len(finding.devices) - mine


@pytest.mark.parametrize("shape", ["normal", "uniform"])
@pytest.mark.parametrize("jitter_s", [0, 3, 10])
@pytest.mark.parametrize("seed", range(3))
def test_one_hour_shows_sixty_devices(seed: int, jitter_s: float, shape: str) -> None:
    rng = np.random.default_rng(seed)
    arrivals = table(fleet(rng, 1, jitter_s=jitter_s, loss=0.1, shape=shape) + others(rng, 1))
    (found,) = find_lockstep(arrivals)
    assert found.url == "/checkin"
    assert found.period_s == pytest.approx(150, rel=0.01)
    assert found.rayleigh_r > 0.98
    mine, strangers = devices_of(found)
    assert mine >= 59
    assert strangers <= 1


@pytest.mark.parametrize("shape", ["normal", "uniform"])
@pytest.mark.parametrize("seed", range(3))
def test_two_hours_show_it_through_thirty_seconds_of_jitter(seed: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    arrivals = table(fleet(rng, 2, jitter_s=30, loss=0.1, shape=shape) + crowd(rng, 2, 3000))
    (found,) = find_lockstep(arrivals)
    assert found.period_s == pytest.approx(150, rel=0.01)
    mine, strangers = devices_of(found)
    assert mine >= 57
    assert strangers == 0


@pytest.mark.parametrize("rhythm", [False, True], ids=["even", "day and night"])
def test_twenty_random_days_show_nothing(rhythm: bool) -> None:
    for seed in range(20 if not rhythm else 5):
        rng = np.random.default_rng(1000 + seed)
        arrivals = table(
            poisson(rng, 24, clients=60, per_hour=24, url="/checkin", rhythm=rhythm)
            + crowd(rng, 24, 8000, rhythm=rhythm)
        )
        assert analyse(arrivals, LATE).count() == 0, f"seed {seed}"


def test_the_same_period_out_of_phase_is_no_fleet() -> None:
    rng = np.random.default_rng(5)
    groups = []
    for k in range(40):
        groups += fleet(rng, 3, jitter_s=2, loss=0.05, devices=1, begin=START + k * 150 / 40)
        groups[-1] = (groups[-1][0], f"10.9.0.{k}", groups[-1][2])
    assert find_lockstep(table(groups)) == []


def test_two_fleets_on_one_url_are_told_apart() -> None:
    rng = np.random.default_rng(6)
    second = [
        (times, "10.77" + ip[4:], url)
        for times, ip, url in fleet(rng, 2, jitter_s=2, loss=0, devices=20, begin=START + 75)
    ]
    found = find_lockstep(table(fleet(rng, 2, jitter_s=2, loss=0, devices=20) + second))
    assert sorted(len(one.devices) for one in found) == [20, 20]
    assert {devices_of(one) for one in found} == {(20, 0), (0, 20)}


def test_a_fleet_that_starts_late_is_dated() -> None:
    rng = np.random.default_rng(7)
    begin = START + 30 * HOUR
    arrivals = table(fleet(rng, 5, jitter_s=2, loss=0.05, begin=begin) + crowd(rng, 48, 20_000))
    (found,) = find_lockstep(arrivals)
    assert begin - 10 <= found.since <= begin + 150
    assert found.until == pytest.approx(begin + 5 * HOUR, abs=160)
    assert found.requests == pytest.approx(60 * 24 * 5 * 0.95, rel=0.03)


def test_an_hourly_job_is_seen_in_a_day() -> None:
    rng = np.random.default_rng(8)
    groups = fleet(rng, 24, jitter_s=5, loss=0.05, devices=12, period_s=3600)
    (found,) = find_lockstep(table(groups + crowd(rng, 24, 5000)))
    assert found.period_s == pytest.approx(3600, rel=0.01)
    assert devices_of(found) == (12, 0)


def test_bursts_at_each_beat_do_not_hide_it() -> None:
    rng = np.random.default_rng(9)
    twice = [
        (np.sort(np.concatenate([times, times + 1])), ip, url)
        for times, ip, url in fleet(rng, 2, jitter_s=1, loss=0, devices=10)
    ]
    (found,) = find_lockstep(table(twice))
    assert found.period_s == pytest.approx(150, rel=0.01)
    assert len(found.devices) == 10


def test_devices_that_send_a_nonce_are_found_by_path() -> None:
    rng = np.random.default_rng(10)
    groups = [
        (times[k : k + 1], ip, f"{url}?mac={ip}&n={k}")
        for times, ip, url in fleet(rng, 1, jitter_s=2, loss=0, devices=8)
        for k in range(len(times))
    ]
    (found,) = analyse(table(groups), LATE).findings["lockstep"]
    assert found["url"] == "/checkin"
    assert len(found["devices"]) == 8


def test_whole_second_stamps_of_one_fast_client_are_no_beat() -> None:
    rng = np.random.default_rng(11)
    fast = [
        (np.sort(START + rng.uniform(0, HOUR, 7000)), f"10.0.0.{k}", "/fast") for k in range(MIN_DEVICES + 1)
    ]
    assert find_lockstep(table(fast)) == []


def test_a_beat_every_ten_seconds_is_found() -> None:
    rng = np.random.default_rng(12)
    (found,) = find_lockstep(table(fleet(rng, 1, jitter_s=0.5, loss=0.1, devices=30, period_s=10)))
    assert found.period_s == pytest.approx(10, rel=0.01)
    assert len(found.devices) == 30
