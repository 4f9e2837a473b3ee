"""500 sessions cut in the middle of a request: tasks and open files, too, are back at their start value."""

import asyncio
import gc
import os
import socket
import struct
import time
from pathlib import Path

import psutil
import pytest

from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import EVERYTHING
from trivet.gateway.files.nodes import entries_of
from trivet.gateway.session_store import MAX_PER_USER, USER_TTL_S, Session
from trivet.gateway.sessions import COOKIE

SESSIONS = 500
AT_ONCE = 100
_OPEN_S = 60.0
_LARGE = 4 << 20


def _counts(door: DoorInMemory) -> dict[str, int]:
    """Return what could leak: file descriptors, tasks, open files of the drive, uploads, spooled files."""

    async def inside() -> dict[str, int]:
        drive = door.drive
        names = [entry.name async for entry in entries_of(drive, drive.uploads_ino)]
        return {
            "tasks": len(asyncio.all_tasks()),
            "uploads": len(names),
            "open files": len(drive.volume.space.open_files),  # type: ignore[attr-defined]
        }

    counts = asyncio.run_coroutine_threadsafe(inside(), door.loop).result(30)
    counts["descriptors"] = psutil.Process().num_fds()
    counts["spooled"] = sum(len(files) for _, _, files in os.walk(door.drive.folder / "uploads"))
    counts["locks"] = door.people.locks.count()
    return counts


def _session(door: DoorInMemory, number: int) -> str:
    session = Session(None, None, {}, stale=False)
    session.log_in(f"user{number % (SESSIONS // MAX_PER_USER)}")
    session["number"] = number
    cookie = door.people.sessions.save_now(session)
    assert cookie
    return f"{COOKIE}={cookie}"


def _open(door: DoorInMemory, cookie: str, number: int) -> socket.socket:
    """Begin a request that is not over yet: half an upload, or a download nobody reads to its end."""
    host, port = door.url.removeprefix("http://").split(":")
    link = socket.create_connection((host, int(port)), timeout=30)
    if number % 2:
        line, body = f"PUT /api/v1/content/up{number}.bin HTTP/1.1\r\nContent-Length: 100000", b"x" * 50_000
    else:
        line, body = "GET /api/v1/content/large.bin HTTP/1.1", b""
    link.sendall(f"{line}\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode() + body)
    if not number % 2:
        assert link.recv(20).startswith(b"HTTP/1.1 200"), number
    return link


def _cut(link: socket.socket) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no goodbye
    link.close()


def _upload_large(door: DoorInMemory, cookie: str) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as link:
        head = f"PUT /api/v1/content/large.bin HTTP/1.1\r\nHost: {host}\r\nContent-Length: {_LARGE}"
        link.sendall(f"{head}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n".encode() + bytes(_LARGE))
        assert link.recv(20).startswith(b"HTTP/1.1 201")


@pytest.mark.timeout(240)
def test_many_sessions_cut_in_the_middle(tmp_path: Path) -> None:
    ahead_s = [0.0]
    with door_in_memory(tmp_path / "state", now_s=lambda: time.time() + ahead_s[0]) as door:  # type: ignore[arg-type]
        for number in range(SESSIONS // MAX_PER_USER):
            door.people.users.add(f"user{number}", None, scopes=(EVERYTHING,))
        _upload_large(door, _session(door, 0))
        _cut(_open(door, _session(door, 0), 0))
        door.people.users.end_sessions("user0")
        time.sleep(0.5)
        gc.collect()  # what tests before this one have left
        before = _counts(door)
        for first in range(0, SESSIONS, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            links = [_open(door, _session(door, number), number) for number in numbers]
            for link in links:
                _cut(link)
        assert door.people.sessions.count() == SESSIONS
        deadline_s = time.monotonic() + _OPEN_S
        while any(now > before[name] for name, now in _counts(door).items()):
            assert time.monotonic() < deadline_s, f"{_counts(door)}, {before} before"
            time.sleep(0.1)
        ahead_s[0] = USER_TTL_S + 1
        assert door.people.sessions.count() == 0
        asyncio.run_coroutine_threadsafe(door.people.sweep(), door.loop).result(30)
        assert door.people.users.user("user0").sessions == 0
