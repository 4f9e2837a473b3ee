"""`trivet floods --follow`: findings as they come up, and at the end what was asked for most."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from trivet.insight.flood import TOP
from trivet.monitor.flood_live import LiveFloods
from trivet.monitor.flood_text import finding_lines
from trivet.monitor.terminal_text import printable

#: how long to rest when nothing is new
REST_S = 0.2


async def follow(
    live: LiveFloods, kinds: Sequence[str], *, every_s: float, for_s: float | None, as_object: bool
) -> int:
    """Follow until a signal or for `for_s` seconds and judge every `every_s`.

    Returns 1 when something of `kinds` was found.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ends = time.monotonic() + for_s if for_s is not None else float("inf")
    due = time.monotonic() + every_s
    found = 0
    while not stop.is_set() and time.monotonic() < ends:
        lines = await asyncio.to_thread(live.read, time.monotonic())
        if time.monotonic() >= due:
            found += await asyncio.to_thread(tell_findings, live, kinds, as_object)
            due = time.monotonic() + every_s
        if not lines:
            await asyncio.sleep(REST_S)
    found += await asyncio.to_thread(tell_findings, live, kinds, as_object)
    tell_summary(live, as_object)
    return 1 if found else 0


def tell_findings(live: LiveFloods, kinds: Sequence[str], as_object: bool) -> int:
    """Print notes and new findings; return how many findings of `kinds` there were."""
    for note in live.notes:
        print(f"trivet: {printable(note)}", file=sys.stderr, flush=True)
    live.notes.clear()
    count = 0
    for kind, finding in live.judge(time.time()):
        count += kind in kinds
        if as_object:
            print(json.dumps({"event": "finding", "kind": kind, **finding}, ensure_ascii=False), flush=True)
        else:
            print("\n".join(finding_lines(finding)), flush=True)
    return count


def tell_summary(live: LiveFloods, as_object: bool) -> None:
    """Print the most frequent pairs since the start, exact or said to be approximate."""
    pairs = live.pairs
    top = pairs.top(TOP)
    if as_object:
        told: dict[str, Any] = {
            "event": "summary",
            "requests": pairs.requests,
            "malformed": live.malformed,
            "approximate": pairs.approximate,
            "error_bound": pairs.error_bound,
            "top_pairs": [list(row) for row in top],
        }
        print(json.dumps(told, ensure_ascii=False), flush=True)
        return
    about = f", approximate: up to {pairs.error_bound:,} too high" if pairs.approximate else ""
    print(f"{pairs.requests:,} requests, {live.malformed:,} malformed lines; most frequent pairs{about}")
    for ip, url, n in reversed(top):
        print(f"{n:>9,} {printable(ip)} {printable(url)}")
