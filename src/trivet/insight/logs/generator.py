"""Made-up access-log lines: Zipf URLs and addresses, bursts, a flooding client, a fleet in lock-step.

Rule: `rng` and the time are handed in; the same draws give the same lines.
Rule: lines are made in batches from prepared pieces, so that half a million a second can be written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

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
#: lines that are prepared; their clients, sections, sizes and agents come round, their pages do not
_TEMPLATES = 1 << 16
#: how long a stamp is: dd/Mon/yyyy:HH:MM:SS +zzzz
STAMP_SIZE = 26
RARE_SHARE = 0.25
Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


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
    """Makes Combined lines of a `site` out of prepared text; stamps and pages are put in batch by batch.

    Popular pages come Zipf-like; RARE_SHARE of the lines ask for any page, so that in time all come up.
    """

    def __init__(self, site: Site, rng: np.random.Generator) -> None:
        self._site = site
        # a generator of its own for each, so that the split into batches does not change the requests
        self._page_rng, self._share_rng = rng.spawn(2)
        distinct = max(1, round(site.factor * 1000))
        sections = _SECTIONS[: min(len(_SECTIONS), distinct)]
        self._pages = distinct // len(sections)
        self._digits = len(str(self._pages - 1))
        lines, stamp_at, page_at = self._templates(sections, rng)
        self._starts = np.cumsum([0, *map(len, lines)])
        self._text = np.frombuffer(b"".join(lines), np.uint8)
        self._stamp_at = self._starts[:-1] + stamp_at
        self._page_at = self._starts[:-1] + page_at
        self._place = 0

    def _templates(
        self, sections: Sequence[str], rng: np.random.Generator
    ) -> tuple[list[bytes], list[int], list[int]]:
        """Return lines with room for stamp and page, and where in each line these two stand."""
        share = np.cumsum(1.0 / np.arange(1, self._site.addresses + 1))
        asking = np.searchsorted(share / share[-1], rng.random(_TEMPLATES))
        addresses = rng.integers(1, 224, (self._site.addresses, 4), np.uint8)[asking].tolist()
        chosen = rng.integers(0, len(sections), _TEMPLATES).tolist()
        sizes = np.minimum(rng.lognormal(8.3, 1.4, _TEMPLATES), 1e9).astype(np.int64).tolist()
        statuses = rng.choice([200, 304, 404, 500], _TEMPLATES, p=[0.9, 0.05, 0.04, 0.01]).tolist()
        agents = rng.integers(0, len(_AGENTS), _TEMPLATES).tolist()
        lines, stamp_at, page_at = [], [], []
        for address, section, status, size, agent in zip(
            addresses, chosen, statuses, sizes, agents, strict=True
        ):
            head = "{}.{}.{}.{} - - [".format(*address)
            asked = f'{head}{" " * STAMP_SIZE}] "GET /{sections[section]}/page-'
            stamp_at.append(len(head))
            page_at.append(len(asked))
            rest = f'{"0" * self._digits} HTTP/1.1" {status} {size} "-" "{_AGENTS[agent]}"\n'
            lines.append((asked + rest).encode())
        return lines, stamp_at, page_at

    def batch(self, count: int, stamp: str) -> bytes:
        """Return `count` lines stamped `stamp` (dd/Mon/yyyy:HH:MM:SS +zzzz)."""
        site = self._site
        flood = int(self._share_rng.binomial(count, site.flood_share)) if site.flood_share else 0
        malformed = int(self._share_rng.binomial(count, site.malformed_share)) if site.malformed_share else 0
        malformed = min(malformed, count - flood)
        flooding = f'{FLOOD_IP} - - [{stamp}] "POST {FLOOD_URL} HTTP/1.1" 401 17 "-" "python-requests/2.32"\n'
        cut = f'10.0.0.9 - - [{stamp}] "GET /cut\n'
        parts = []
        left = count - flood - malformed
        while left:
            size = min(left, _TEMPLATES - self._place)
            parts.append(self._filled(slice(self._place, self._place + size), stamp.encode()))
            self._place = (self._place + size) % _TEMPLATES
            left -= size
        return b"".join([*parts, flooding.encode() * flood, cut.encode() * malformed])

    def _filled(self, lines: slice, stamp: bytes) -> bytes:
        """Return the prepared `lines` with `stamp` and freshly drawn pages in their places."""
        begin, end = self._starts[lines.start], self._starts[lines.stop]
        text = self._text[begin:end].copy()
        _write_at(text, self._stamp_at[lines] - begin, np.frombuffer(stamp, np.uint8))
        drawn = self._page_rng.random(lines.stop - lines.start)
        popular = np.exp((drawn - RARE_SHARE) / (1 - RARE_SHARE) * np.log(self._pages)) - 1
        pages = np.where(drawn < RARE_SHARE, drawn / RARE_SHARE * self._pages, popular).astype(np.int64)
        powers = 10 ** np.arange(self._digits - 1, -1, -1)
        digits = (pages[:, None] // powers % 10 + ord("0")).astype(np.uint8)
        _write_at(text, self._page_at[lines] - begin, digits)
        return text.tobytes()

    def fleet(self, stamp: str) -> bytes:
        """Return one line of every device of the fleet, all with the same `stamp`."""
        return "".join(
            f"198.51.{100 + k // 250}.{k % 250 + 1} - - [{stamp}] "
            f'"GET {FLEET_URL} HTTP/1.1" 200 64 "-" "device/2.1"\n'
            for k in range(self._site.devices)
        ).encode()


def _write_at(text: Bytes, places: Places, values: Bytes) -> None:
    """Write `values` (one row for all places, or a row each) into `text` at every one of `places`."""
    sliding_window_view(text, values.shape[-1], writeable=True)[places] = values


def stamps_of(lines: Iterator[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Yield (line, start, end) with the place of the stamp in brackets; start is -1 where there is none."""
    for line in lines:
        start = line.find(b"[")
        end = line.find(b"]", start)
        yield (line, start + 1, end) if start >= 0 and end - start == 27 else (line, -1, -1)
