"""The page's view of vendors in a real Chromium: queue, parked, removals held back; all of it live."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from page_driving import row
from trivet.drive.rights import EVERYTHING
from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.removal_guard import RemovalLimits
from trivet.drive.usage_limits import DoorLimits
from upstream_door import DoorBeforeVendor, door_before_vendor
from vendor_server import Vendor

MB = 1_000_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[DoorBeforeVendor]:
    vendor, rng = Vendor(), random.Random(1)
    for name in ("ann", "bob", "cay"):
        vendor.put(f"{name}.bin", rng.randbytes(7 * MB // 10))
    settings: dict[str, Any] = {"download": BudgetLimits(2 * MB), "removals": RemovalLimits(files_max=2)}
    with door_before_vendor(tmp_path, vendor, limits=DoorLimits(5000), attempts=1, **settings) as made:
        made.door.people.users.add("ann", None, scopes=(EVERYTHING,), admin=True)
        yield made


@pytest.fixture
def page(browser: Browser, rig: DoorBeforeVendor) -> Iterator[Page]:
    opened, failures = browser.new_page(), list[str]()
    opened.on("pageerror", lambda error: failures.append(str(error)))
    opened.goto(f"{rig.door.url}/login/{rig.door.people.link_for('ann')}")
    opened.get_by_role("link", name="google").click()
    expect(row(opened, "cay.bin")).to_be_visible()
    yield opened
    opened.close()
    assert failures == []


def download(page: Page, name: str) -> None:
    """Press the button that downloads a file."""
    page.get_by_text(name).click()
    page.get_by_role("link", name="Download").click()


def vendors(page: Page) -> None:
    """Go to the vendors."""
    page.get_by_role("navigation").get_by_role("link", name="Vendors").click()
    expect(page.get_by_role("heading", name="Vendors")).to_be_visible()


def test_a_queued_download_tells_its_place_and_can_be_cancelled(page: Page, rig: DoorBeforeVendor) -> None:
    for name in ("ann.bin", "bob.bin"):
        with page.expect_download() as arrived:
            download(page, name)
        assert Path(arrived.value.path()).stat().st_size == 7 * MB // 10
    download(page, "cay.bin")
    expect(page.locator(".toast")).to_contain_text("cay.bin waits at place 1 in the queue")
    page.get_by_role("button", name="See vendors").click()
    main = page.locator("main")
    expect(main).to_contain_text("1.3 MiB of 1.9 MiB, 1 waiting, new at")
    waiting = page.locator(".transfer", has_text="cay.bin")
    expect(waiting).to_contain_text("place 1 in the queue, a new day's bytes at")
    expect(main).to_contain_text("/google/ann.bin")
    expect(main).to_contain_text("All is well")
    page.get_by_role("button", name="Make room").click()
    page.get_by_label("Path").fill("/google/ann.bin")
    page.get_by_role("dialog").get_by_role("button", name="Make room").click()
    expect(page.locator(".toast")).to_contain_text("1 files (684 KiB) at the vendor only now")
    waiting.get_by_role("button", name="Cancel").click()
    expect(main).to_contain_text("Nobody waits.")
    expect(waiting).to_contain_text("undone: cancelled by ann")


def test_an_outage_is_told_and_parked_transfers_go_on(page: Page, rig: DoorBeforeVendor) -> None:
    rig.vendor.faults.down = True
    download(page, "ann.bin")
    expect(page.locator(".toast", has_text="comes when the vendor answers again")).to_be_visible()
    expect(page.locator("#vendors-dot")).to_be_visible()
    vendors(page)
    vendor = page.get_by_label("google", exact=True)
    expect(vendor).to_contain_text("Away: ")
    parked = page.locator(".transfer", has_text="ann.bin")
    expect(parked.get_by_role("button", name="Resume")).to_be_visible()
    rig.vendor.faults.down = False
    expect(vendor).to_contain_text("All is well")
    expect(page.locator(".transfer", has_text="ann.bin")).to_contain_text("684 KiB · done")
    expect(page.locator("main")).to_contain_text("ann.bin is parked and comes by itself")


def test_a_great_removal_is_asked_about_and_comes_back(page: Page, rig: DoorBeforeVendor) -> None:
    for name in ("ann.bin", "bob.bin", "cay.bin"):
        row(page, name).focus()
        page.keyboard.press("Delete")
        expect(row(page, name)).to_have_count(0)
    expect(page.locator(".toast", has_text="were removed from google in a short time")).to_be_visible()
    vendors(page)
    expect(page.locator(".held")).to_contain_text("3 files and folders were removed here")
    page.get_by_role("button", name="Bring them back").click()
    expect(page.locator(".held")).to_have_count(0)
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_role("link", name="google").click()
    expect(row(page, "cay.bin")).to_be_visible()
    assert [len(rig.vendor.named(f"{name}.bin")) for name in ("ann", "bob", "cay")] == [1, 1, 1]


def test_vendors_narrow_and_dark(browser: Browser, rig: DoorBeforeVendor) -> None:
    narrow = browser.new_context(viewport={"width": 360, "height": 640}, color_scheme="dark")
    page = narrow.new_page()
    page.goto(f"{rig.door.url}/login/{rig.door.people.link_for('ann')}")
    vendors(page)
    expect(page.locator("main")).to_contain_text("All is well")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    narrow.close()
