"""The cache in front of a vendor, over HTTP: whose layer answered, how old it is, and that calls don't grow.

Prints each layer's hit rate, and p50 and p99 of metadata, small, large and shared files.
"""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from trivet.drive.rights import Scope
from trivet.drive.upstream.retry import RetryPolicy
from trivet.gateway.native import cache
from trivet.io.control_socket import ask
from upstream_door import DoorBeforeVendor, door_before_vendor
from vendor_server import Vendor

FILES, USERS, READS = 100, 50, 10_000
SMALL, LARGE = 20_000, 3_000_000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorBeforeVendor]:
    vendor, rng = Vendor(), random.Random(3)
    shared = vendor.folder("shared")
    for number in range(FILES):
        vendor.put(f"{number:03d}.bin", rng.randbytes(SMALL), shared)
    for name in ("large.bin", "other.bin"):
        vendor.put(name, rng.randbytes(LARGE))
    for name in ("plan.txt", "mine.txt", "secret.txt", "quota.txt", "stale.txt"):
        vendor.put(name, name.encode() * 100)
    with door_before_vendor(tmp_path_factory.mktemp("cache") / "state", vendor) as made:
        yield made


def path(name: str) -> str:
    """Return where a file's bytes are."""
    return f"/api/v1/content/google/{name}"


def evict(rig: DoorBeforeVendor, what: str) -> None:
    """Let bodies be at the vendor only."""
    evicted = rig.run(ask(rig.folder.upstream_socket, "cache-evict", {"path": what}))
    assert evicted["kept"] == []


def test_first_it_is_a_miss_then_a_hit_and_a_change_over_there_is_seen(rig: DoorBeforeVendor) -> None:
    ann = rig.client("ann")
    first, second = ann.get(path("plan.txt")), ann.get(path("plan.txt"))
    assert (first.headers["X-Cache"], first.headers["Age"]) == ("MISS", "0")
    assert (second.headers["X-Cache"], second.content) == ("HIT", first.content)
    assert 0 <= int(second.headers["Age"]) < 10
    file_id = ann.get("/drive/v3/files", params={"q": "name = 'plan.txt'"}).json()["files"][0]["id"]
    for _ in range(2):  # the second time from the worker's memory
        media = ann.get(f"/drive/v3/files/{file_id}", params={"alt": "media"})
        assert (media.headers["X-Cache"], media.content) == ("HIT", first.content)
    at_vendor = next(one for one in rig.vendor.drive.files.values() if one.name == "plan.txt")
    rig.vendor.drive.update(at_vendor.id, {}, b"changed over there")
    rig.until(lambda: ann.get(path("plan.txt")).content == b"changed over there")
    assert ann.get(path("plan.txt")).headers["X-Cache"] != "MISS", "it was fetched before anybody asked"
    rig.until(
        lambda: ann.get(path("plan.txt")).headers["X-Cache"] == "HIT"
    )  # the door hears of it in a second


def test_a_write_of_ours_is_read_at_once(rig: DoorBeforeVendor) -> None:
    bea = rig.client("bea")
    assert bea.get(path("mine.txt")).headers["X-Cache"] == "MISS"
    assert bea.put(path("mine.txt"), content=b"written here").status_code == 200
    again = bea.get(path("mine.txt"))
    assert (again.content, again.headers["X-Cache"]) == (b"written here", "HIT")
    rig.until(lambda: rig.vendor.named("mine.txt") == [b"written here"])
    assert "X-Cache" not in bea.get("/api/v1/content/").headers
    bea.put("/api/v1/content/elsewhere.txt", content=b"of no vendor")
    assert "X-Cache" not in bea.get("/api/v1/content/elsewhere.txt").headers


def test_bodies_are_shared_rights_are_not(rig: DoorBeforeVendor) -> None:
    cay, dan = rig.client("cay"), rig.client("dan", Scope("/elsewhere", "rw"))
    for _ in range(3):
        assert cay.get(path("secret.txt")).status_code == 200
    file_id = cay.get("/drive/v3/files", params={"q": "name = 'secret.txt'"}).json()["files"][0]["id"]
    assert cay.get(f"/drive/v3/files/{file_id}?alt=media").headers["X-Cache"] == "HIT"
    for refused in (
        dan.get(path("secret.txt")),
        dan.get(f"/drive/v3/files/{file_id}?alt=media"),
        dan.get(f"/api/v1/files/{file_id}/content"),
    ):
        assert refused.status_code == 404
        assert b"secret.txtsecret" not in refused.content
        assert "X-Cache" not in refused.headers
    told = dan.get("/api/v1/cache").json()["caches"][0]
    assert told["kept_hot"] == told["warm_ups"] == [], "paths are told to those who may read them"


def test_a_name_that_is_not_there_asks_nobody(rig: DoorBeforeVendor) -> None:
    eve = rig.client("eve")
    before = dict(rig.vendor.face.seen)
    for number in range(50):
        assert eve.get(path(f"nothing {number}")).status_code == 404
    after = rig.vendor.face.seen
    assert [after.get(kind, 0) - before.get(kind, 0) for kind in ("get", "download")] == [0, 0]
    rig.until(lambda: eve.get("/api/v1/cache").json()["caches"][0]["negative"] >= 50)


def test_with_the_quota_spent_and_with_the_vendor_gone_what_is_here_is_served(rig: DoorBeforeVendor) -> None:
    fay = rig.client("fay")
    for name in ("quota.txt", "stale.txt"):
        assert fay.get(path(name)).headers["X-Cache"] == "MISS"
    quota = rig.work.up.vendor.quota
    quota.note_spent(time.time())
    rig.until(lambda: fay.get(path("quota.txt")).headers["X-Cache"] == "HIT-QUOTA")
    # It grows: nobody has asked the vendor since.
    rig.until(lambda: int(fay.get(path("quota.txt")).headers["Age"]) >= 1)
    refused = fay.get(path("other.bin"))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exhausted")
    quota.count.spent = False
    rig.settle()
    rig.work.up.vendor._policy = RetryPolicy(attempts=1)  # who tries longer is cut off later
    rig.vendor.faults.down = True
    try:
        rig.until(lambda: fay.get(path("stale.txt")).headers["X-Cache"] == "STALE", 60)
        assert fay.get(path("stale.txt")).content == b"stale.txt" * 100
    finally:
        rig.vendor.faults.down = False
    rig.until(lambda: fay.get(path("stale.txt")).headers["X-Cache"] == "HIT", 60)


class Reader:
    """One user's connection: sends a request, reads its answer whole."""

    def __init__(self, url: str, token: str) -> None:
        self._host, _, self._port = url.removeprefix("http://").partition(":")
        self._token = token

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._host, int(self._port))

    async def get(self, target: str) -> tuple[str, int, float]:
        """Return (X-Cache, how many bytes came, how long it took in seconds)."""
        began_s = time.perf_counter()
        lines = f"GET {target} HTTP/1.1", f"Host: {self._host}", f"Authorization: Bearer {self._token}"
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        assert head.startswith("HTTP/1.1 200"), head
        found = re.search(r"(?i)content-length: (\d+)", head)
        assert found is not None, head
        size = len(await self._reader.readexactly(int(found[1])))
        cache = re.search(r"(?i)x-cache: (\S+)", head)
        return cache[1] if cache else "", size, time.perf_counter() - began_s


@dataclass
class Users:
    """Users of the tokens, all at once, each over a connection of their own."""

    url: str
    tokens: list[str]

    def read(self, layer: str, kind: str, targets: list[list[str]]) -> Counter[str]:
        """Let each ask for their `targets`; print how that went, return how often which X-Cache came."""
        found: Counter[str] = Counter()
        times: list[float] = []

        async def one(token: str, wanted: list[str]) -> None:
            reader = Reader(self.url, token)
            await reader.open()
            for target in wanted:
                cache, _, took_s = await reader.get(target)
                found[cache] += 1
                times.append(took_s)

        async def run() -> None:
            pairs = zip(self.tokens, targets, strict=False)
            await asyncio.gather(*(one(token, wanted) for token, wanted in pairs))

        asyncio.run(run())
        _told(layer, kind, times, found)
        return found


def _told(layer: str, kind: str, times: list[float], found: Counter[str]) -> None:
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    rate = f"hit rate {100 * found['HIT'] / len(times):5.1f} %" if any(found) else "no body         "
    figures = f"p50 {1e3 * p50:7.2f} ms, p99 {1e3 * p99:8.2f} ms"
    print(f"{layer:14} {kind:14} {len(times):6,} requests, {rate}, {figures}")


@pytest.mark.timeout(300)
def test_hits_grow_and_calls_do_not(rig: DoorBeforeVendor) -> None:
    asker = rig.client("gus")
    listed = asker.get("/drive/v3/files", params={"q": "name contains '.bin'", "pageSize": 1000}).json()
    ids = {one["name"]: one["id"] for one in listed["files"]}
    rng = random.Random(5)

    def small(users: int, each: int, ending: str = "?alt=media") -> list[list[str]]:
        names = [[f"{rng.randrange(FILES):03d}.bin" for _ in range(each)] for _ in range(users)]
        return [[f"/drive/v3/files/{ids[name]}{ending}" for name in some] for some in names]

    everybody = Users(rig.door.url, [rig.token(f"user-{number}") for number in range(USERS)])
    # What a worker keeps in memory is for those who may read everything; these get it from the banks.
    narrow = Users(rig.door.url, [rig.token(f"guest-{one}", Scope("/google", "r")) for one in range(10)])
    evict(rig, "/google/shared")
    evict(rig, "/google/large.bin")
    before = Counter(rig.vendor.face.seen)
    found = everybody.read("vendor, memory", "small, shared", small(USERS, READS // USERS))
    assert sum(found.values()) == READS
    made = Counter(rig.vendor.face.seen) - before
    assert made["download"] == FILES
    assert made["get"] == FILES, "one look at each file before it is fetched"
    assert found["HIT"] > READS - USERS * FILES
    assert set(everybody.read("memory", "small, shared", small(10, 50))) == {"HIT"}
    assert set(narrow.read("volume", "small, shared", small(10, 20))) == {"HIT"}
    everybody.read("metadata", "metadata", small(USERS, 20, ending=""))
    large = [[f"/drive/v3/files/{ids['large.bin']}?alt=media"] * 2] * 8
    everybody.read("vendor, volume", "large, shared", large)
    assert set(everybody.read("volume", "large, shared", large)) == {"HIT"}
    again = Counter(rig.vendor.face.seen) - before
    assert (again["download"], again["get"]) == (made["download"] + 1, made["get"] + 1), "the large one, once"
    print(f"vendor: {made['download']} downloads, {made['get']} looks for {READS:,} reads by {USERS} users")
    _check_layers(rig, asker)


def _check_layers(rig: DoorBeforeVendor, asker: httpx.Client) -> None:
    def layers() -> dict[str, dict[str, float]]:
        return {one["layer"]: one for one in asker.get("/api/v1/cache").json()["caches"][0]["layers"]}

    rig.until(lambda: layers()["memory"]["hits"] > READS // 2)
    rig.until(lambda: layers()["volume"]["hits"] >= 200 + 16)  # guests, and large files, pass memory by
    rig.until(lambda: layers()["metadata"]["hits"] > 1000)
    told = layers()
    for name, one in told.items():
        print(f"{name:10} {one['hits']:7,} hits, {one['misses']:6,} misses, {one['items']:5,} items")
    assert told["volume"]["items"] >= FILES + 1
    assert told["volume"]["size_bytes"] >= FILES * SMALL + LARGE


def test_a_warm_up_fetches_ahead_and_an_eviction_gives_up(rig: DoorBeforeVendor) -> None:
    hal = rig.client("hal")
    evict(rig, "/google/shared")
    assert hal.get(path("shared/001.bin")).headers["X-Cache"] == "MISS"
    wish = {"path": "/google/shared", "user": "hal"}
    run = rig.run(ask(rig.folder.upstream_socket, "cache-warm", wish))
    assert (run["fetched"], run["here"], run["left"]) == (FILES - 1, 1, 0)
    assert hal.get(path("shared/002.bin")).headers["X-Cache"] == "HIT"


def test_over_http_who_may_read_fetches_ahead_and_who_may_change_gives_up(
    rig: DoorBeforeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ida, jon = rig.client("ida"), rig.client("jon", Scope("/google/shared", "r"))

    def ordered(asker: httpx.Client, do: str, what: str) -> tuple[int, dict[str, Any]]:
        answer = asker.post(f"/api/v1/cache/{do}", json={"path": what})
        return answer.status_code, answer.json()

    assert ida.get(path("shared/001.bin")).status_code == 200
    code, told = ordered(ida, "evict", "/google/shared/")
    assert (code, told["state"], told["path"], told["left"]) == (200, "done", "/google/shared", 0)
    assert told["size_bytes"] == told["files"] * SMALL > 0
    assert ordered(jon, "evict", "/google/shared")[0] == 403
    assert ordered(jon, "warm", "/google/large.bin")[0] == 404
    assert ordered(ida, "warm", "/")[0] == 400
    code, told = ordered(jon, "warm", "/google/shared/003.bin")
    assert (code, told["files"], told["size_bytes"]) == (200, 1, SMALL)
    assert jon.get(path("shared/003.bin")).headers["X-Cache"] == "HIT"

    monkeypatch.setattr(cache, "WAIT_S", 0.0)
    code, told = ordered(jon, "warm", "/google/shared")
    assert (code, told["state"]) == (202, "running")

    def notices() -> list[str]:
        (one,) = jon.get("/api/v1/upstreams").json()["upstreams"]
        return [notice["text"] for notice in one["notices"]]

    rig.until(lambda: notices() == [f"/google/shared: {FILES - 1} files (1,980,000 bytes) were fetched"])
