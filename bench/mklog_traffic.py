"""The traffic of a made-up site as index arrays: who asked for what, when, and what came of it.

Rule: the random draws are part of the seed; their order never changes.
Rule: URLs and addresses are distinct, so an index is an identity and counting is `bincount`.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
SECTIONS = (
    "/pages", "/api", "/static", "/img", "/blog", "/users", "/search", "/cart", "/products", "/docs",
    "/wp-admin", "/feed",
)  # fmt: skip
WORDS = (
    "alpha", "beta", "gamma", "delta", "report", "create", "edit", "list", "view", "item", "page", "main",
    "order", "theme", "font", "icon", "logo", "user", "news", "data",
)  # fmt: skip
FLOOD_IP, FLOOD_URL = "203.0.113.77", "/api/login"
DEVICE_URL = "/api/v1/checkin?fw=2.1.7"
DEVICE_PERIOD_S = 150
STATUSES = np.array([200, 304, 301, 302, 404, 403, 401, 500, 503, 499, 206])
STATUS_SHARES = [0.78, 0.08, 0.02, 0.03, 0.045, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005]
AGENT_SHARES = np.array([0.34, 0.12, 0.1, 0.14, 0.06, 0.05, 0.05, 0.05, 0.03, 0.04, 0.02])


@dataclass(frozen=True)
class Wishes:
    """What to make: lines, days, distinct URLs and addresses, shares of the special kinds of line."""

    lines: int
    seed: int = 1
    days: int = 7
    urls: int = 60_000
    ips: int = 120_000
    flood_share: float = 0.06
    devices: int = 60
    nasty_share: float = 0.001
    malformed_share: float = 0.0005


@dataclass
class Traffic:
    """One array element a line, in time order; `kind` is 0 plain, 1 nasty, 2 malformed."""

    time_s: Ints
    ip: Ints
    url: Ints
    status: Ints
    size_bytes: Ints
    dash: NDArray[np.bool_]
    method: Ints
    protocol: Ints
    agent: Ints
    referrer: Ints
    kind: NDArray[np.int8]
    pick: Ints
    pick_user: Ints

    def cut(self, lines: int) -> None:
        """Keep the first `lines` lines."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[:lines])


@dataclass(frozen=True)
class Names:
    """The distinct addresses and URLs that a Traffic's indices stand for; devices are the last addresses."""

    ips: list[str]
    urls: list[str]
    devices: list[str]


def _urls(rng: np.random.Generator, count: int) -> list[str]:
    urls = ["/", "/index.html", "/robots.txt", "/favicon.ico"]
    shares = np.array([20, 18, 16, 12, 8, 6, 6, 4, 4, 3, 1, 2]) / 100
    section = rng.choice(len(SECTIONS), count, p=shares)
    kind = rng.random(count)
    word = rng.integers(0, len(WORDS), (count, 3))
    number = rng.integers(1, 99999, count)
    for i in range(count - len(urls)):
        s, n = SECTIONS[section[i]], number[i]
        a, b, c = (WORDS[k] for k in word[i])
        if kind[i] < 0.35:
            urls.append(f"{s}/{a}/{b}-{n}.html")
        elif kind[i] < 0.6:
            urls.append(f"{s}/{a}-{n}?{b}={c}&id={i}")
        elif kind[i] < 0.9:
            urls.append(f"{s}/{a}/{b}/{c}/{n}")
        else:
            urls.append(f"{s}?q={a}+{b}&n={i}")
    return list(dict.fromkeys(urls))


def _ips(rng: np.random.Generator, count: int) -> list[str]:
    part = rng.integers(0, 256, (count, 4))
    return list(
        dict.fromkeys(
            f"2001:db8:{p[0] * 256 + p[1]:x}:{p[2]:x}::{i >> 16:x}:{i & 0xFFFF:x}"
            if i % 25 == 7
            else f"{20 + p[0] % 180}.{p[1]}.{p[2]}.{p[3]}"
            for i, p in enumerate(part.tolist())
        )
    )


def _zipf(rng: np.random.Generator, distinct: int, size: int, exponent: float) -> Ints:
    share = np.cumsum(1.0 / np.arange(1, distinct + 1) ** exponent)
    return np.searchsorted(share / share[-1], rng.random(size)).astype(np.int64)


def _times(rng: np.random.Generator, wishes: Wishes, plain: int, flood: int, fleet: int) -> Ints:
    """Times of plain traffic (day, night, weekend), of the flood (from day 3, in bursts), of the fleet."""
    hour = np.arange(wishes.days * 24)
    weight = (1.2 + np.sin((hour % 24 - 9) / 24 * 2 * np.pi)) * np.where((hour // 24) % 7 >= 5, 0.6, 1)
    plain_hour = rng.choice(len(hour), plain, p=weight / weight.sum())
    plain_s = plain_hour * 3600 + rng.integers(0, 3600, plain)
    flood_hour = np.arange(min(2, wishes.days - 1) * 24, wishes.days * 24)
    flood_weight = np.where(flood_hour % 6 < 2, 10.0, 1.0)
    flood_s = rng.choice(flood_hour, flood, p=flood_weight / flood_weight.sum()) * 3600
    flood_s = flood_s + rng.integers(0, 3600, flood)
    fleet_s = (np.arange(fleet) // max(1, wishes.devices)) * DEVICE_PERIOD_S % (wishes.days * 86400)
    return np.concatenate([plain_s, flood_s, fleet_s])


def make_traffic(wishes: Wishes) -> tuple[Traffic, Names]:
    """Return the traffic that `wishes` describe, and the names its indices stand for."""
    rng = np.random.default_rng(wishes.seed)
    urls, ips = _urls(rng, wishes.urls), _ips(rng, wishes.ips)
    url_count, ip_count = len(urls), len(ips)
    devices = [f"198.51.100.{k + 1}" if k < 254 else f"192.0.2.{k - 253}" for k in range(wishes.devices)]
    names = Names([*ips, FLOOD_IP, *devices], [*urls, FLOOD_URL, DEVICE_URL], devices)
    n = wishes.lines
    fleet = min(wishes.devices * 24 * 24 * wishes.days, n // 4)
    flood = int(n * wishes.flood_share)
    plain = n - fleet - flood
    time_s = _times(rng, wishes, plain, flood, fleet)
    device = ip_count + 1 + np.arange(fleet) % max(1, wishes.devices)
    ip = np.concatenate([_zipf(rng, ip_count, plain, 0.9), np.full(flood, ip_count), device])
    plain_url = _zipf(rng, url_count, plain, 1.05)
    flood_url = np.where(rng.random(flood) < 0.9, url_count, rng.integers(0, 40, flood))
    url = np.concatenate([plain_url, flood_url, np.full(fleet, url_count + 1)])
    order = np.argsort(time_s, kind="stable")
    status = rng.choice(STATUSES, n, p=STATUS_SHARES)
    size = np.minimum(rng.lognormal(8.3, 1.6, n), 2e9).astype(np.int64)
    dash = (status == 304) | (rng.random(n) < 0.01)
    size[dash] = 0
    method = rng.choice(4, n, p=[0.86, 0.11, 0.02, 0.01])
    protocol = rng.choice(2, n, p=[0.9, 0.1])
    agent = rng.choice(len(AGENT_SHARES), n, p=AGENT_SHARES)
    has_referrer = rng.random(n)
    referrer = np.where(has_referrer < 0.45, -1, rng.integers(0, url_count, n))
    kind = np.zeros(n, np.int8)
    draw = rng.random(n)
    kind[draw < wishes.nasty_share] = 1
    kind[draw > 1 - wishes.malformed_share] = 2
    pick, pick_user = rng.integers(0, 1 << 30, n), rng.integers(0, 5, n)
    return Traffic(
        time_s[order], ip[order], url[order], status, size, dash, method, protocol, agent, referrer, kind,
        pick, pick_user,
    ), names  # fmt: skip
