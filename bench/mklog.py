"""Make a realistic access log and the exact answers a right parser must give (OUT.truth.json).

    python bench/mklog.py out.log --size 1GiB            # about 5 million lines, 7 days
    python bench/mklog.py out.log --lines 200000 --seed 7 --nasty 0.01

Zipf URLs and addresses, a day and night rhythm, `-` bytes, IPv6, one flooding address, a fleet of devices
in lock-step, valid lines that look wrong and malformed ones.

Rule: the answers come from the generator's own arrays, so they are an oracle of their own.
Rule: the same seed gives the same bytes.
"""

import argparse
import json
import sys
import time
from dataclasses import fields
from typing import BinaryIO

from mklog_nasty import MALFORMED, NASTIES, NASTY_USERS
from mklog_traffic import Names, Traffic, Wishes, make_traffic
from mklog_truth import START_S, truth_of

LINES_A_WRITE = 100_000
BYTES_A_LINE = 205
METHODS, PROTOCOLS = ("GET", "POST", "HEAD", "PUT"), ("HTTP/1.1", "HTTP/2.0")
_WEBKIT = "(KHTML, like Gecko)"
AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {_WEBKIT} Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
    f" {_WEBKIT} Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    f" {_WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    "python-requests/2.32.3",
    "okhttp/4.12.0",
    "Go-http-client/1.1",
    "-",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
)
_HMS = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(86400)]


class Writer:
    """Turns traffic into lines; `common` leaves referrer and agent out."""

    def __init__(self, names: Names, days: int, common: bool) -> None:
        self._names = names
        self._common = common
        self._days = [time.strftime("%d/%b/%Y", time.gmtime(START_S + k * 86400)) for k in range(days + 1)]
        self._referrers = [f'"https://www.example.com{url}"' for url in names.urls] + ['"-"']
        self._agents = [f'"{agent}"' for agent in AGENTS]

    def lines(self, traffic: Traffic, start: int, end: int) -> bytes:
        """Return the lines from `start` to `end` of `traffic`."""
        columns = (getattr(traffic, field.name)[start:end].tolist() for field in fields(traffic))
        return b"".join(map(self._line, *columns))

    def _line(
        self, time_s: int, ip: int, url: int, status: int, size: int, dash: bool, method: int, protocol: int,
        agent: int, referrer: int, kind: int, pick: int, pick_user: int,
    ) -> bytes:  # fmt: skip
        stamp = f"{self._days[time_s // 86400]}:{_HMS[time_s % 86400]} +0000"
        host = self._names.ips[ip]
        if kind == 2:
            return MALFORMED[pick % len(MALFORMED)] + b"\n"
        if kind == 1:
            return self._nasty(host.encode(), stamp.encode(), pick, pick_user)
        request = f"{METHODS[method]} {self._names.urls[url]} {PROTOCOLS[protocol]}"
        line = f'{host} - - [{stamp}] "{request}" {status} {"-" if dash else size}'
        if not self._common:
            line += f" {self._referrers[referrer]} {self._agents[agent]}"
        return (line + "\n").encode()

    def _nasty(self, host: bytes, stamp: bytes, pick: int, pick_user: int) -> bytes:
        nasty = NASTIES[pick % len(NASTIES)]
        tail = b"" if self._common else b' "%s" "%s"' % (nasty.referrer, nasty.agent)
        return b'%s - %s [%s] "%s" %d %s%s%s' % (
            host, NASTY_USERS[pick_user], stamp, nasty.request, nasty.status,
            b"%d" % nasty.size_bytes if nasty.size_bytes else b"-", tail,
            b"\r\n" if pick % 11 == 0 else b"\n",
        )  # fmt: skip


def write_log(out: BinaryIO, traffic: Traffic, writer: Writer, size_bytes: int | None) -> int:
    """Write `traffic` to `out`, up to about `size_bytes`; cut it to what was written; return the bytes."""
    written, lines = 0, len(traffic.kind)
    for start in range(0, lines, LINES_A_WRITE):
        end = min(lines, start + LINES_A_WRITE)
        written += out.write(writer.lines(traffic, start, end))
        if size_bytes and written >= size_bytes:
            traffic.cut(end)
            break
    return written


def parse_size(text: str) -> int:
    """Return the bytes that a `text` like 64MiB or 1GiB says."""
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    if text[-3:] not in units:
        raise argparse.ArgumentTypeError(f"{text}: give a size as 512KiB, 64MiB or 1GiB")
    return int(float(text[:-3]) * units[text[-3:]])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Make an access log and its exact answers.")
    parser.add_argument("out")
    parser.add_argument("--size", type=parse_size, dest="size_bytes")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--urls", type=int, default=60_000)
    parser.add_argument("--ips", type=int, default=120_000)
    parser.add_argument("--flood", type=float, default=0.06, help="share of lines of the flooding address")
    parser.add_argument("--devices", type=int, default=60, help="devices in lock-step, 24 requests an hour")
    parser.add_argument("--nasty", type=float, default=0.001)
    parser.add_argument("--malformed", type=float, default=0.0005)
    parser.add_argument("--common", action="store_true", help="Common log format: no referrer, no agent")
    a = parser.parse_args()
    lines = a.size_bytes // BYTES_A_LINE if a.size_bytes else a.lines
    wishes = Wishes(lines, a.seed, a.days, a.urls, a.ips, a.flood, a.devices, a.nasty, a.malformed)
    traffic, names = make_traffic(wishes)
    with open(a.out, "wb", buffering=1 << 20) as out:
        written = write_log(out, traffic, Writer(names, a.days, a.common), a.size_bytes)
    truth = truth_of(traffic, names, written)
    with open(a.out + ".truth.json", "w") as file:
        json.dump(truth, file)
    print(f"{truth['lines']} lines, {written} bytes, {truth['malformed']} malformed", file=sys.stderr)


if __name__ == "__main__":
    main()
