"""Measures the live board in headless Chromium: first paint, frames a second, memory over the time.

`python bench/board_page.py http://127.0.0.1:8080 --for 600` looks at the board of a drive that runs without
logins (`trivet up --no-auth`), asks it for something five times a second meanwhile, and prints a line each
30 seconds: the page's heap after a collection, its nodes and listeners, how many frames came.
"""

import argparse
import itertools
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Page, sync_playwright

EVERY_S = 30.0
LOADS = 5
PACE_S = 0.2


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Ask the drive for something again and again, and change a file now and then."""
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=10) as client:
            asked = 0
            while not stop.wait(PACE_S):
                client.get("/api/v1/files/root")
                asked += 1
                if asked % 40 == 0:
                    client.put(f"/api/v1/content/file{asked % 400}.bin", content=os.urandom(20_000))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def paint(page: Page, address: str) -> None:
    """Print how long the first paint and the sentence take."""
    for load in range(LOADS):
        page.goto(f"{address}/?{load}#/board")
        page.wait_for_selector("#sentence")
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
        print(f"first contentful paint {painted} ms, sentence {page.evaluate('performance.now()'):.0f} ms")


def watch(page: Page, frames: list[float], for_s: float) -> None:
    """Print how the page is, again and again."""
    tools = page.context.new_cdp_session(page)
    frames.clear()
    began_s = time.monotonic()
    while (passed_s := time.monotonic() - began_s) < for_s:
        page.wait_for_timeout(1000 * min(EVERY_S, for_s - passed_s) + 1)
        tools.send("HeapProfiler.collectGarbage")
        counted = tools.send("Memory.getDOMCounters")
        used = tools.send("Runtime.getHeapUsage")["usedSize"]
        print(f"{time.monotonic() - began_s:6.0f} s  heap {used / 2**20:.2f} MiB  nodes {counted['nodes']}  "
              f"listeners {counted['jsEventListeners']}  frames {len(frames)}", flush=True)  # fmt: skip
    gaps = [after - before for before, after in itertools.pairwise(frames)]
    print(f"{len(frames) / (time.monotonic() - began_s):.2f} frames a second, median gap "
          f"{1000 * statistics.median(gaps):.0f} ms, longest {1000 * max(gaps):.0f} ms")  # fmt: skip


def main() -> None:
    """Measure as the command line says."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("address")
    wanted.add_argument("--for", dest="for_s", type=float, default=600.0, help="seconds")
    told = wanted.parse_args()
    frames: list[float] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.on(
            "websocket",
            lambda socket: socket.on("framereceived", lambda _: frames.append(time.monotonic())),
        )
        paint(page, told.address)
        with asking(told.address):
            watch(page, frames, told.for_s)
        browser.close()


if __name__ == "__main__":
    main()
