"""Arrivals made for tests: fleets with jitter and loss, random clients, all from a seed."""

import numpy as np

from trivet.insight.arrivals import Arrivals

START = 1717372800  # 2024-06-03T00:00:00Z
HOUR = 3600


def table(rows: list[tuple[np.ndarray, str, str]], offset_s: int = 0) -> Arrivals:
    """Return arrivals of (times, ip, url) groups, stamped in whole seconds as logs are."""
    ips = list(dict.fromkeys(ip for _, ip, _ in rows))
    urls = list(dict.fromkeys(url for *_, url in rows))
    t = np.concatenate([times for times, *_ in rows])
    ip = np.concatenate([np.full(len(times), ips.index(ip)) for times, ip, _ in rows])
    url = np.concatenate([np.full(len(times), urls.index(url)) for times, _, url in rows])
    order = np.argsort(t, kind="stable")
    n = len(t)
    return Arrivals(
        t=np.floor(t[order]), offset_s=np.full(n, offset_s), ip=ip[order], url=url[order],
        file=np.zeros(n, np.int32), line=np.arange(1, n + 1), ips=ips, urls=urls, files=["made.log"],
    )  # fmt: skip


def fleet(
    rng: np.random.Generator, hours: float, *, jitter_s: float, loss: float, devices: int = 60,
    period_s: float = 150.0, url: str = "/checkin", begin: float = START, shape: str = "normal",
) -> list[tuple[np.ndarray, str, str]]:  # fmt: skip
    """Return a fleet in lock-step: every device every `period_s`, blurred and thinned out."""
    groups = []
    for k in range(devices):
        ticks = begin + np.arange(0, hours * HOUR, period_s)
        blur = (
            rng.normal(0, jitter_s, len(ticks))
            if shape == "normal"
            else rng.uniform(-jitter_s, jitter_s, len(ticks))
        )
        times = (ticks + blur)[rng.random(len(ticks)) >= loss]
        inside = (times >= begin) & (times < begin + hours * HOUR)
        groups.append((times[inside], f"10.0.{k // 250}.{k % 250 + 1}", url))
    return groups


def poisson(
    rng: np.random.Generator, hours: float, *, clients: int, per_hour: float, url: str, net: str = "172.16.0",
    rhythm: bool = False, begin: float = START,
) -> list[tuple[np.ndarray, str, str]]:  # fmt: skip
    """Return clients that ask at random, each `per_hour` on average; with `rhythm` more by day."""
    groups = []
    for k in range(clients):
        times = begin + rng.uniform(0, hours * HOUR, rng.poisson(per_hour * hours))
        if rhythm:
            chance = 0.55 + 0.45 * np.sin((times % 86400 / 86400 - 0.375) * 2 * np.pi)
            times = times[rng.random(len(times)) < chance]
        groups.append((np.sort(times), f"{net}.{k}", url))
    return groups


def crowd(
    rng: np.random.Generator, hours: float, requests: int, *, rhythm: bool = False
) -> list[tuple[np.ndarray, str, str]]:
    """Return ordinary visitors: Zipf clients over Zipf pages, at random times."""
    count = rng.poisson(requests)
    times = START + rng.uniform(0, hours * HOUR, count)
    if rhythm:
        times = times[rng.random(count) < 0.55 + 0.45 * np.sin((times % 86400 / 86400 - 0.375) * 2 * np.pi)]
    who = rng.zipf(1.4, len(times)) % 400
    what = rng.zipf(1.4, len(times)) % 150
    key = who * 1000 + what
    order = np.argsort(key, kind="stable")
    cuts = np.flatnonzero(np.diff(key[order])) + 1
    return [
        (np.sort(times[rows]), f"192.168.1.{who[rows[0]]}", f"/page/{what[rows[0]]}")
        for rows in np.split(order, cuts)
        if len(rows)
    ]
