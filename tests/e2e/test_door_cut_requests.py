"""2,000 sessions cut in the middle of a request leave nothing; an open upload takes little memory."""

import asyncio
import socket
import sqlite3
import struct
import time
from collections.abc import Iterator

import psutil
import pytest

from door_under_test import Door
from drive_under_test import running_drive
from free_ports import free_port
from trivet.client.remote_volume import connected
from trivet.drive.rights import EVERYTHING
from trivet.gateway.people import People
from trivet.gateway.session_store import MAX_PER_USER, Session
from trivet.gateway.sessions import COOKIE
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import PRIVATE_INO, UPLOADS

SESSIONS = 2000
AT_ONCE = 100
#: The time-outs of this test, seconds: sessions run out, and so do locks.
SESSION_S, LOCK_S = 12.0, 5
SENT = b"x" * 1_900_000
LARGE = bytes(3 << 19)


@pytest.fixture(scope="module")
def people_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door with logins that nobody else asks while its handles are counted; it has a large file."""
    port = free_port()
    with running_drive(tmp_path_factory.mktemp("cut"), 1, "--no-mount", "--port", str(port)) as drive:
        door = Door(drive, port)
        people = People(drive.state / "gateway")
        for number in range((SESSIONS + AT_ONCE) // MAX_PER_USER + 1):
            people.users.add(f"user{number}", None, scopes=(EVERYTHING,))
        name, _, cookie = new_session(people, SESSIONS + AT_ONCE).partition("=")
        door.http.cookies.set(name, cookie)
        door.told("PUT", "/api/v1/content/large.bin", content=LARGE)
        people.close()
        yield door
        door.http.close()


def new_session(people: People, number: int) -> str:
    """Log a user in, in the state folder that the worker reads; return the cookie."""
    session = Session(None, None, {}, stale=False)
    session.log_in(f"user{number // MAX_PER_USER}")
    cookie = people.sessions.save_now(session)
    assert cookie
    return f"{COOKIE}={cookie}"


def held(door: Door) -> dict[str, int]:
    """Return what is held: handles of worker and keeper, sessions and locks in force, temporary files."""
    with sqlite3.connect(door.drive.state / "gateway" / "people.sqlite") as link:
        counts = {
            table: link.execute(
                f"SELECT count(*) FROM {table} WHERE expires_at > ?", (time.time(),)
            ).fetchone()[0]
            for table in ("sessions", "locks")
        }
    counts["worker"] = psutil.Process(door.pid()).num_fds()
    counts["keeper"] = psutil.Process(door.drive.keeper_pid()).num_fds()
    counts["checks"] = len(checks(door))
    return counts


def checks(door: Door) -> list[str]:
    """Return the temporary files of checks under way."""
    return [path.name for path in (door.drive.state / "gateway" / "uploads").glob("check-*")]


def staged(door: Door) -> list[bytes]:
    """Return the files in the drive that nobody sees yet."""

    async def listed() -> list[bytes]:
        async with connected(VolumeFolder(door.drive.state)) as volume:
            uploads = await volume.lookup(PRIVATE_INO, UPLOADS)
            return [entry.name for entry in await volume.listing(uploads.ino, 0, 5000)]

    return [name for name in asyncio.run(listed()) if name not in (b".", b"..")]


def begin(door: Door, request: str, cookie: str, body: bytes = b"") -> socket.socket:
    """Begin a request; return its connection once the worker is in the middle of it."""
    link = socket.socket()
    link.settimeout(30)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read, stays with the worker
    link.connect(("127.0.0.1", door.port))
    expect = "Expect: 100-continue\r\n" if body else ""
    link.sendall(f"{request}\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n{expect}\r\n".encode())
    began = link.recv(12)
    assert began == (b"HTTP/1.1 100" if body else b"HTTP/1.1 200"), began
    link.sendall(body)
    return link


def begin_one(door: Door, cookie: str, number: int) -> socket.socket:
    """Begin to upload a PDF, at times one that this session has locked, or to download the large file."""
    if number % 2:
        return begin(door, "GET /api/v1/content/large.bin HTTP/1.1", cookie)
    headers = "Content-Length: 4000000"
    if number % 40 == 0:
        file = door.told("PUT", f"/api/v1/content/locked-{number}.pdf", content=b"%PDF-1.4\n")["id"]
        lock = door.http.post(
            f"/api/v1/files/{file}/locks", json={"ttl_s": LOCK_S}, headers={"Cookie": cookie}
        )
        headers += f"\r\nX-Trivet-Lock: {lock.json()['token']}"
        return begin(door, f"PUT /api/v1/files/{file}/content HTTP/1.1\r\n{headers}", cookie, b"%PDF-1.4\n")
    name = f"cut-{number}.pdf"
    return begin(
        door, f"PUT /api/v1/content/{name} HTTP/1.1\r\n{headers}", cookie, b"%PDF-1.4\n" + SENT[:50_000]
    )


def cut(links: list[socket.socket]) -> None:
    """End connections without a goodbye."""
    for link in links:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.close()


@pytest.mark.timeout(180)
def test_two_thousand_sessions_cut_in_the_middle_leave_nothing(people_door: Door) -> None:
    door, began = people_door, time.monotonic()
    people = People(door.drive.state / "gateway", user_ttl_s=SESSION_S)
    cut_a_round(door, people, SESSIONS)  # links to banks, tables: what the first requests open, stays open
    before, most = settled_handles(door), 0
    for first in range(0, SESSIONS, AT_ONCE):
        most = max(most, cut_a_round(door, people, first))
    took_s = time.monotonic() - began
    people.close()
    until = time.monotonic() + SESSION_S + 10
    allowed = {**before, "sessions": 1, "locks": 0, "checks": 0}  # the door's own session
    while any(now > allowed[name] for name, now in held(door).items()) or staged(door):
        assert time.monotonic() < until, f"{held(door)}, {allowed} allowed; {staged(door)}"
        time.sleep(0.2)
    print(f"{SESSIONS} sessions in {took_s:.1f} s, {most} at once; {held(door)}, {allowed} allowed")
    assert most > AT_ONCE
    assert set(door.names("root")) == {
        "large.bin",
        *(f"locked-{number}.pdf" for number in range(0, SESSIONS + AT_ONCE, 40)),
    }
    assert door.http.get("/api/v1/content/large.bin").content == LARGE


def cut_a_round(door: Door, people: People, first: int) -> int:
    """Cut the requests of `AT_ONCE` sessions from number `first` on; return how many sessions there were."""
    numbers = range(first, first + AT_ONCE)
    links = [begin_one(door, new_session(people, number), number) for number in numbers]
    sessions = held(door)["sessions"]
    cut(links)
    return sessions


def settled_handles(door: Door) -> dict[str, int]:
    """Return the handles of worker and keeper once they are the same for a second."""
    seen: list[dict[str, int]] = []
    until = time.monotonic() + 30
    while len(seen) < 6 or any(one != seen[-1] for one in seen[-6:]):
        assert time.monotonic() < until, seen[-6:]
        time.sleep(0.2)
        seen.append({name: count for name, count in held(door).items() if name in ("worker", "keeper")})
    return seen[-1]


def test_memory_of_open_uploads(people_door: Door) -> None:
    door, worker = people_door, psutil.Process(people_door.pid())
    before = worker.memory_info().rss
    cookie = f"{COOKIE}={door.http.cookies[COOKIE]}"
    request = "PUT /api/v1/content/memory-{}.pdf HTTP/1.1\r\nContent-Length: 4000000"
    links = [begin(door, request.format(number), cookie, b"%PDF-1.4\n" + SENT) for number in range(AT_ONCE)]
    try:
        until = time.monotonic() + 60
        most = 0
        while time.monotonic() < until and len(checks(door)) < AT_ONCE:
            most = max(most, worker.memory_info().rss)
            time.sleep(0.05)
        most = max(most, worker.memory_info().rss)
    finally:
        cut(links)
    share = (most - before) / AT_ONCE
    print(f"{share / (1 << 20):.2f} MiB per open upload")
    assert share <= 2.5 * (1 << 20), "2 MiB are allowed, and half of one for noise"
