"""A real, headless Chromium over the real door, whose volume is in memory.

Rule: at the end no other machine was asked for anything, and no script of the page has failed.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import EVERYTHING
from trivet.wire.control_messages import BankStatus, Finding, RepairHistory, ServerStatus, Status

CHROMIUM = Path("/usr/bin/chromium")
_SERVERS = [ServerStatus(9000, "up"), ServerStatus(9001, "down")]
STATUS = Status("v", False, [BankStatus(9000, _SERVERS)], notes=["bank 9000 is degraded"])
REPAIRS = RepairHistory([Finding("fixed", "/a/b.txt", "page", 9000, "checksum differs", time.time(), 7000)])


expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[DoorInMemory]:
    keeper = {"status": msgspec.to_builtins(STATUS), "repairs": msgspec.to_builtins(REPAIRS)}
    with door_in_memory(tmp_path / "state", status=keeper) as served:
        served.people.users.add("ann", "long enough", scopes=(EVERYTHING,))
        yield served


@pytest.fixture
def context(browser: Browser, door: DoorInMemory) -> Iterator[BrowserContext]:
    """A browser that remembers every address it asks; at the end none may be of another machine."""
    made, asked = browser.new_context(accept_downloads=True), list[str]()
    made.on("request", lambda request: asked.append(request.url))
    made.set_default_timeout(15_000)
    yield made
    made.close()
    assert asked
    assert [url for url in asked if not url.startswith((door.url, "blob:"))] == []


@pytest.fixture
def page(context: BrowserContext, door: DoorInMemory) -> Iterator[Page]:
    """The page as ann sees it after logging in; scripts that fail fail the test."""
    opened, failures = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.goto(f"{door.url}/login/{door.people.link_for('ann')}")
    expect(opened.get_by_text("Nothing here yet")).to_be_visible()
    yield opened
    assert failures == []
