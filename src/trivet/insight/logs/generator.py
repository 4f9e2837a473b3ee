"""Made-up access-log lines: Zipf URLs and addresses, bursts, a flooding client, a fleet in lock-step.

Rule: `rng` and the time are handed in; the same draws give the same lines.
Rule: lines are made in batches from prepared pieces, so that half a million a second can be written.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trivet.errors import InputError

FLOOD_IP, FLOOD_URL = "203.0.113.77", "/api/login"
FLEET_URL = "/api/v1/checkin"
_SECTIONS = ("pages", "api", "static", "img", "blog", "users", "search", "cart", "products", "docs")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
)
_POOL = 1 << 16


@dataclass(frozen=True, slots=True)
class Site:
    """What is made up: `factor` times 1,000 distinct URLs; shares are of all lines.

    Every `burst_every_s` seconds the pace is `burst_times` as high for `burst_s`. A fleet of `devices` asks
    together every `fleet_period_s`.
    """

    factor: float = 2.0
    addresses: int = 5_000
    malformed_share: float = 0.0
    flood_share: float = 0.0
    burst_every_s: float = 0.0
    burst_s: float = 10.0
    burst_times: float = 5.0
    devices: int = 0
    fleet_period_s: float = 150.0

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 100_000:
            raise InputError("--factor must be more than 0 and at most 100000")
        if not 0 <= self.malformed_share + self.flood_share <= 1:
            raise InputError("the shares of malformed and flood lines must be between 0 and 1 together")
        if self.burst_times < 1 or self.burst_s <= 0 or self.fleet_period_s <= 0:
            raise InputError("bursts and fleets need a factor of 1 or more and a time of more than 0 s")

    def pace_at(self, elapsed_s: float) -> float:
        """Return by how much the pace is multiplied `elapsed_s` after the start."""
        if self.burst_every_s and elapsed_s % self.burst_every_s >= self.burst_every_s - self.burst_s:
            return self.burst_times
        return 1.0


class LineMaker:
    """Makes Combined lines of a `site`; the stamp is put in when a batch is asked for."""

    def __init__(self, site: Site, rng: np.random.Generator) -> None:
        self._site = site
        self._rng = rng
        count = max(1, round(site.factor * 1000))
        sections = rng.integers(0, len(_SECTIONS), count)
        urls = [f"/{_SECTIONS[s]}/page-{k}" for k, s in enumerate(sections.tolist())]
        heads = [
            f"{a}.{b}.{c}.{d} - - [" for a, b, c, d in rng.integers(1, 224, (site.addresses, 4)).tolist()
        ]
        self._heads = [heads[k] for k in self._zipf(site.addresses, _POOL)]
        sizes = np.minimum(rng.lognormal(8.3, 1.4, _POOL), 1e9).astype(np.int64).tolist()
        statuses = rng.choice([200, 304, 404, 500], _POOL, p=[0.9, 0.05, 0.04, 0.01]).tolist()
        agents = [_AGENTS[k] for k in rng.integers(0, len(_AGENTS), _POOL).tolist()]
        # every URL comes up at least once in a round of the pool, the popular ones far more often
        chosen = [*range(count), *self._zipf(count, max(_POOL, 2 * count) - count)]
        rng.shuffle(chosen)
        self._tails = [
            f'] "GET {urls[u]} HTTP/1.1" {statuses[k % _POOL]} {sizes[k % _POOL]} "-" "{agents[k % _POOL]}"\n'
            for k, u in enumerate(chosen)
        ]
        self._place = 0

    def _zipf(self, distinct: int, size: int) -> list[int]:
        share = np.cumsum(1.0 / np.arange(1, distinct + 1))
        chosen: list[int] = np.searchsorted(share / share[-1], self._rng.random(size)).tolist()
        return chosen

    def batch(self, count: int, stamp: str) -> bytes:
        """Return `count` lines stamped `stamp` (dd/Mon/yyyy:HH:MM:SS +zzzz)."""
        site = self._site
        flood = int(self._rng.binomial(count, site.flood_share)) if site.flood_share else 0
        malformed = int(self._rng.binomial(count, site.malformed_share)) if site.malformed_share else 0
        malformed = min(malformed, count - flood)
        lines = [
            f"{head}{stamp}{tail}"
            for head, tail in zip(*self._pieces(count - flood - malformed), strict=True)
        ]
        flooding = f'{FLOOD_IP} - - [{stamp}] "POST {FLOOD_URL} HTTP/1.1" 401 17 "-" "python-requests/2.32"\n'
        lines += [flooding] * flood + [f'10.0.0.9 - - [{stamp}] "GET /cut\n'] * malformed
        return "".join(lines).encode()

    def _pieces(self, count: int) -> tuple[list[str], list[str]]:
        """Return the next `count` line beginnings and endings of the prepared pools."""
        place, self._place = self._place, self._place + count
        return _circular(self._heads, place, count), _circular(self._tails, place, count)

    def fleet(self, stamp: str) -> bytes:
        """Return one line of every device of the fleet, all with the same `stamp`."""
        return "".join(
            f"198.51.{100 + k // 250}.{k % 250 + 1} - - [{stamp}] "
            f'"GET {FLEET_URL} HTTP/1.1" 200 64 "-" "device/2.1"\n'
            for k in range(self._site.devices)
        ).encode()


def _circular(items: list[str], place: int, count: int) -> list[str]:
    """Return `count` items from `place` on, beginning again at the end."""
    place %= len(items)
    part = items[place : place + count]
    while len(part) < count:
        part += items[: count - len(part)]
    return part


def stamps_of(lines: Iterator[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (line, start, end) with the place of the stamp in brackets; start is -1 where there is none."""
    for line in lines:
        start = line.find(b"[")
        end = line.find(b"]", start)
        yield (line, start + 1, end) if start >= 0 and end - start == 27 else (line, -1, -1)
