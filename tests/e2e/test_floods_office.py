"""The office day: tm2 on 2013-05-22, its top pairs, the busiest device hour by hour, the pace from 18:00."""

import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path

#: (requests, client, path, action) of the day's twenty most frequent pairs, the least first
PAIRS = """
3 192.168.4.101 /path/nPVR getseries
3 192.168.4.101 /path/reminder get
3 192.168.4.101 /path/rentedItems
3 192.168.4.101 /path/stbProperties get
3 192.168.4.101 /path/subscriberInfo
3 192.168.4.140 /path/autoConfig
6 192.168.4.249 /path/authenticate
6 192.168.4.249 /path/favorite get
6 192.168.4.249 /path/rentedItems
6 192.168.4.249 /path/stbProperties get
7 192.168.4.249 /path/reminder get
7 192.168.4.249 /path/subscriberInfo
8 192.168.4.140 /path/authenticate
8 192.168.4.249 /path/nPVR get
8 192.168.4.249 /path/nPVR getseries
16 192.168.4.254 /path/subscriberInfo
25 192.168.4.254 /path/nPVR get
25 192.168.4.254 /path/nPVR getseries
83 192.168.4.254 /path/favorite get
98 192.168.4.254 /path/reminder get
"""
BUSIEST = "192.168.4.254"
HOURS = dict(zip(range(12, 24), [8, 4, 16, 18, 12, 50, 24, 24, 24, 24, 24, 22], strict=True))
#: the hours count 250 requests, the listed pairs 247: the others went to pages below the table
BELOW_THE_TABLE = ["/path/autoConfig", "/path/authenticate", "/path/rentedItems"]


def rows() -> list[tuple[str, str, int]]:
    """Return the table as (client, URL, requests), the most frequent first."""
    split = [line.split(" ", 2) for line in PAIRS.strip().splitlines()]
    table = [(ip, url, int(n)) for n, ip, url in split]
    return sorted(table, key=lambda row: (-row[2], row[0], row[1]))


def line(ip: str, url: str, hour: int, second: int) -> str:
    """Return a Common line; `url` is a path and perhaps an action."""
    path, _, action = url.partition(" ")
    target = f"{path}?id={second}&action={action}" if action else path
    stamp = f"22/May/2013:{hour:02}:{second // 60:02}:{second % 60:02} +0200"
    return f'{ip} - - [{stamp}] "GET {target} HTTP/1.1" 200 512'


def write_day(path: Path) -> None:
    """Write the day's log: the busiest device's requests in its hours, everybody else's spread out."""
    its_urls = [url for ip, url, n in rows() if ip == BUSIEST for _ in range(n)] + BELOW_THE_TABLE
    assert len(its_urls) == sum(HOURS.values()) == 250
    # The URLs are dealt out so that every hour has some of each, as a device that polls does.
    dealt = iter([its_urls[k * 97 % 250] for k in range(250)])
    lines = []
    for hour, n in HOURS.items():
        lines += [(hour, k * 3600 // n, line(BUSIEST, next(dealt), hour, k * 3600 // n)) for k in range(n)]
    spread = cycle(range(0, 24 * 3600, 4999))
    for ip, url, n in rows():
        for _ in range(n if ip != BUSIEST else 0):
            hour, second = divmod(next(spread), 3600)
            lines.append((hour, second, line(ip, url, hour, second)))
    path.write_text("\n".join(text for *_, text in sorted(lines)) + "\n")


def test_office_day_is_reproduced(tmp_path: Path) -> None:
    write_day(tmp_path / "localhost_access_log.2013-05-22.log")
    source = f"tm2={tmp_path}/localhost_access_log.{{date}}.log"
    argv = ["floods", source, "--date", "2013-05-22", "--pair-by", "path+action"]
    run = subprocess.run([sys.executable, "-m", "trivet", *argv, "--json"], capture_output=True, text=True)
    assert run.stderr == ""
    report = json.loads(run.stdout)
    assert report["date"] == "2013-05-22"
    assert report["server"] == "tm2"
    assert [tuple(row) for row in report["top_pairs"]] == rows()
    expected = {f"2013-05-22T{hour:02}": HOURS.get(hour, 0) for hour in range(24)}
    assert report["busiest"] == {"ip": BUSIEST, "hits": 250, "hours": expected}
    steady = report["steady"]
    assert [(one["ip"], one["per_hour"]) for one in steady] == [(BUSIEST, 24)]
    assert steady[0]["since"].startswith("2013-05-22T18:00")
    assert steady[0]["urls"] >= 5
    assert report["lockstep"] == []
    assert run.returncode == 1, "something was found"

    text = subprocess.run([sys.executable, "-m", "trivet", *argv], capture_output=True, text=True).stdout
    assert "2013-05-22T11\n2013-05-22T12       8" in text, "a silent hour is shown without a figure"
    assert f"{BUSIEST} asks 24 times an hour over" in text
