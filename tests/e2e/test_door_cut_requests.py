"""Many requests opened and cut in the middle: nothing of them stays, and each takes little memory."""

import socket
import sqlite3
import time
from collections.abc import Iterator

import psutil
import pytest

from door_under_test import Door, open_door

CUT = 300
AT_ONCE = 100
SENT = b"x" * 1_900_000


@pytest.fixture(scope="module")
def own_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door that nobody else asks while its handles are counted."""
    with open_door(tmp_path_factory.mktemp("cut")) as opened:
        yield opened


def rows(door: Door, statement: str) -> int:
    """Return the one number that `statement` selects from the door's two databases."""
    folder = door.drive.state / "gateway"
    with sqlite3.connect(folder / "people.sqlite") as link:
        link.execute("ATTACH ? AS door", (str(folder / "door.sqlite"),))
        return int(link.execute(statement).fetchone()[0])


def staged(door: Door) -> list[str]:
    """Return the temporary files of checks under way."""
    folder = door.drive.state / "gateway" / "uploads"
    return [path.name for path in folder.iterdir() if path.name.startswith("check-")]


def open_one(door: Door, number: int, body: bytes) -> socket.socket:
    """Begin to upload a PDF of 4 MB, send `body` of it."""
    link = socket.create_connection(("127.0.0.1", door.port), timeout=30)
    head = (
        f"PUT /api/v1/content/cut-{number}.pdf HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n"
    )
    link.sendall(head.encode() + body)
    return link


def test_requests_cut_in_the_middle_leave_nothing(own_door: Door) -> None:
    own_door.told("PUT", "/api/v1/content/first.pdf", content=b"%PDF-1.4\n")
    worker = psutil.Process(own_door.pid())
    files, sessions = worker.num_fds(), rows(own_door, "SELECT count(*) FROM sessions")
    for first in range(0, CUT, AT_ONCE):
        links = [
            open_one(own_door, number, b"%PDF-1.4\n" + b"x" * 50_000)
            for number in range(first, first + AT_ONCE)
        ]
        for link in links:
            link.close()
    until = time.monotonic() + 60
    while worker.num_fds() > files + 5 or staged(own_door):
        assert time.monotonic() < until, f"{worker.num_fds()} handles, {files} before; {staged(own_door)}"
        time.sleep(0.1)
    assert rows(own_door, "SELECT count(*) FROM sessions") == sessions
    assert rows(own_door, "SELECT count(*) FROM locks") == 0
    assert own_door.names("root") == ["first.pdf"]


def test_memory_of_open_uploads(own_door: Door) -> None:
    worker = psutil.Process(own_door.pid())
    before = worker.memory_info().rss
    links = [open_one(own_door, number, SENT) for number in range(AT_ONCE)]
    try:
        until = time.monotonic() + 60
        most = 0
        while time.monotonic() < until and len(staged(own_door)) < AT_ONCE:
            most = max(most, worker.memory_info().rss)
            time.sleep(0.05)
        most = max(most, worker.memory_info().rss)
    finally:
        for link in links:
            link.close()
    share = (most - before) / AT_ONCE
    print(f"{share / (1 << 20):.2f} MiB per open upload")
    assert share <= 2.5 * (1 << 20), "2 MiB are allowed, and half of one for noise"
