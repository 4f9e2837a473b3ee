"""The access log of the door, read by the commands for access logs while a client runs wild."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from door_under_test import Door

LOOPING = "127.0.0.2"
#: Seconds of calm before, of the burst, and of calm until the alert has cleared; windows are of 1 s.
CALM_S, BURST_S, AFTER_S = 16, 4, 4
CALM_RATE, BURST_RATE = 4, 60


@contextmanager
def following(log: Path) -> Iterator[list[dict[str, Any]]]:
    """Follow the log for the time of the block; what is told comes into the list."""
    words = [sys.executable, "-m", "trivet", "logs", str(log), "--follow", "--json", "--every", "0.5"]
    windows = ["--time-resolution", "1", "--short-median", "3", "--long-median", "12", "--alert-on", "hits"]
    process = subprocess.Popen([*words, *windows], stdout=subprocess.PIPE, text=True)
    told: list[dict[str, Any]] = []
    assert process.stdout is not None
    lines = iter(process.stdout)
    told.append(json.loads(next(lines)))
    reader = threading.Thread(target=lambda: told.extend(json.loads(line) for line in lines))
    reader.start()
    try:
        yield told
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        reader.join()
        process.stdout.close()


def ask(client: httpx.Client, path: str, rate: float, seconds: float) -> None:
    """Ask for a path `rate` times a second."""
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        assert client.get(path).status_code == 200


def test_a_burst_raises_and_clears_the_alert_and_floods_names_who_it_was(door: Door) -> None:
    log = door.drive.state / "gateway" / "access.log"
    door.told("PUT", "/api/v1/content/polled.json", content=b"{}")
    wild = httpx.Client(base_url=door.address, transport=httpx.HTTPTransport(local_address=LOOPING))
    with wild, following(log) as told:
        calm_s = CALM_S + BURST_S + AFTER_S
        calm = threading.Thread(target=ask, args=(door.http, "/api/v1/me", CALM_RATE, calm_s))
        calm.start()
        time.sleep(CALM_S)
        began_s = time.time()
        ask(wild, "/api/v1/content/polled.json", BURST_RATE, BURST_S)
        ended_s = time.time()
        calm.join()
        until = time.monotonic() + 20
        while not any(one["event"] == "cleared" for one in told):
            assert time.monotonic() < until, told[-5:]
            time.sleep(0.1)
    alerts = [(one["event"], one["time_s"]) for one in told if one["event"] in {"raised", "cleared"}]
    print(f"burst from {began_s:.1f} to {ended_s:.1f}: {alerts}")
    assert [event for event, _ in alerts] == ["raised", "cleared"]
    assert int(began_s) < alerts[0][1] <= int(began_s) + 2
    assert alerts[0][1] < alerts[1][1] <= ended_s + 4
    words = [sys.executable, "-m", "trivet", "floods", str(log), "--json"]
    report = json.loads(subprocess.run(words, capture_output=True, text=True, check=False).stdout)
    asked = round(BURST_RATE * BURST_S)
    assert [LOOPING, "/api/v1/content/polled.json", asked] in report["top_pairs"]
    assert LOOPING in {report["busiest"]["ip"], report["top_pairs"][0][0]}
