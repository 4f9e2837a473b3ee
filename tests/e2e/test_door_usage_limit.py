"""A user beyond the day's requests: reads what is here, has the history, and browsers get words."""

from collections.abc import Iterator

import pytest

from trivet.drive.usage_limits import DoorLimits
from upstream_door import DoorBeforeVendor, door_before_vendor
from vendor_server import Vendor

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LIMIT = 12


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorBeforeVendor]:
    vendor = Vendor()
    for name in ("near", "far"):
        vendor.put(f"{name}.txt", name.encode())
    place = tmp_path_factory.mktemp("door")
    with door_before_vendor(place, vendor, limits=DoorLimits(LIMIT)) as made:
        yield made


def volume_misses(rig: DoorBeforeVendor) -> int:
    """Return how many bodies were asked for that were not here."""
    return rig.work.cache.counts.counts.volume.misses


def test_beyond_the_limit_only_what_is_here_and_the_history(rig: DoorBeforeVendor) -> None:
    with rig.client("ann") as ann, rig.client("bob") as bob:
        for number in range(LIMIT):
            assert ann.get("/api/v1/content/google/near.txt").status_code == 200, number
        ann.get("/api/v1/me"), ann.get("/api/v1/upstreams"), ann.get("/api/v1/history")
        here = ann.get("/api/v1/content/google/near.txt")
        assert (here.status_code, here.content) == (200, b"near")
        assert here.headers["X-Cache"] == "HIT-QUOTA"
        misses = volume_misses(rig)
        assert ann.get("/api/v1/folders/root/children").status_code == 200
        refused = ann.get("/api/v1/content/google/far.txt")
        assert (refused.status_code, refused.json()["code"]) == (429, "usage_limit")
        assert 0 < int(refused.headers["retry-after"]) <= 86400
        file = ann.get("/api/v1/paths/google/far.txt").json()["id"]
        v3 = ann.get(f"/drive/v3/files/{file}?alt=media")
        assert (v3.status_code, v3.json()["error"]["errors"][0]["reason"]) == (403, "dailyLimitExceeded")
        assert ann.put("/api/v1/content/mine.txt", content=b"x").status_code == 429
        rig.until(lambda: volume_misses(rig) >= misses + 2)  # the first may be told late
        assert rig.vendor.face.seen["download"] == 1, "what was refused cost the vendor nothing"

        history = ann.get("/api/v1/history").json()
        assert (history["requests"], history["requests_per_day"]) == (LIMIT + 6, LIMIT)
        (served,) = history["served"]
        assert (served["path"], served["times"], served["bytes"]) == (
            "/google/near.txt",
            LIMIT + 1,
            4 * LIMIT + 4,
        )
        assert bob.get("/api/v1/content/google/far.txt").status_code == 200, "bob has a limit of his own"
        assert bob.get("/api/v1/history").json()["served"][0]["path"] == "/google/far.txt"


def test_browsers_get_a_page_or_are_led_away(rig: DoorBeforeVendor) -> None:
    with rig.client("cay") as cay:
        for _ in range(LIMIT):
            cay.get("/api/v1/paths/google")
        rig.vendor.put("new.txt", b"new")
        refused = cay.get("/api/v1/content/google/new.txt", headers=BROWSER)
        while refused.status_code == 404:  # it is not listed yet
            refused = cay.get("/api/v1/content/google/new.txt", headers=BROWSER)
        assert refused.status_code == 429
        assert refused.headers["content-type"].startswith("text/html")
        assert "<h1>Limit of usage exceeded</h1>" in refused.text
        assert "A new day begins at 00:00 UTC, in " in refused.text
        assert "script" not in refused.headers["content-security-policy"].replace("default-src", "")
        missing = cay.get("/api/v1/content/<b>no</b>", headers=BROWSER)
        assert (missing.status_code, "<b>" in missing.text) == (404, False)


def test_an_error_handler_gets_browsers_only(tmp_path_factory: pytest.TempPathFactory) -> None:
    vendor = Vendor()
    vendor.put("far.txt", b"far")
    limits = DoorLimits(1, "https://help.example/limits?from=drive")
    with (
        door_before_vendor(tmp_path_factory.mktemp("led"), vendor, limits=limits) as rig,
        rig.client("dan") as dan,
    ):
        dan.get("/api/v1/paths/google")
        led = dan.get("/api/v1/content/google/far.txt", headers=BROWSER)
        assert led.status_code == 303
        where = led.headers["location"]
        assert where.startswith("https://help.example/limits?from=drive&code=usage_limit&resets_at_s=")
        assert dan.get("/api/v1/content/google/far.txt").status_code == 429
        assert dan.get("/api/v1/content/nothing", headers=BROWSER).status_code == 404
