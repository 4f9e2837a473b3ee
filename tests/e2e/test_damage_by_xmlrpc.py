"""What somebody spoils by hand through XML-RPC: right bytes all the time, and repaired."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from xmlrpc.client import Fault

import pytest

from drive_under_test import Drive, drop_caches

pytestmark = pytest.mark.mount
RIGHT = b"the right bytes\n" * 40
LARGE = bytes(range(256)) * 1024


@pytest.fixture(params=["small", "large"])
def file(request: pytest.FixtureRequest, shared_drive: Drive) -> tuple[Path, bytes]:
    """A file of one page record, or one of a blob; whole on all banks."""
    body = RIGHT if request.param == "small" else LARGE
    path = shared_drive.folder / f"{request.node.name.partition('[')[0]}-{request.param}"
    path.write_bytes(body)
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
    shared_drive.wait_healthy()
    return path, body


def key_of(path: Path) -> bytes:
    return b"/" + os.fsencode(path.name)


def holders(drive: Drive, base: int, key: bytes) -> list[int]:
    """Return the ports of a bank whose server stores something of `key`."""
    return [port for port in drive.ports_of(base) if drive.get(port, key) is not None]


def spoil(drive: Drive, base: int, key: bytes) -> None:
    """Overwrite what a bank stores of `key`."""
    ports = holders(drive, base, key)
    assert ports, f"no server of bank {base} holds {key!r}"
    for port in ports:
        drive.put(port, key, b"CORRUPTED")


def wait(until: Callable[[], bool], deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not until():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def bodies(drive: Drive, base: int, key: bytes) -> list[bytes | None]:
    return [drive.get(port, key) for port in holders(drive, base, key)]


def test_one_bank_spoiled_is_repaired_on_access(shared_drive: Drive, file: tuple[Path, bytes]) -> None:
    path, body = file
    repaired = shared_drive.status()["repaired_total"]
    before = bodies(shared_drive, shared_drive.bases[2], key_of(path))
    spoil(shared_drive, shared_drive.bases[2], key_of(path))
    drop_caches()
    assert path.read_bytes() == body
    wait(lambda: bodies(shared_drive, shared_drive.bases[2], key_of(path)) == before, deadline_s=10)
    assert shared_drive.wait_healthy()["repaired_total"] > repaired
    told = shared_drive.trivet("repairs").stdout
    assert key_of(path).decode() in told


def test_untouched_damage_is_repaired_by_itself(shared_drive: Drive, file: tuple[Path, bytes]) -> None:
    path, body = file
    before = bodies(shared_drive, shared_drive.bases[0], key_of(path))
    spoil(shared_drive, shared_drive.bases[0], key_of(path))
    wait(lambda: bodies(shared_drive, shared_drive.bases[0], key_of(path)) == before, deadline_s=20)
    shared_drive.wait_healthy()
    assert path.read_bytes() == body


def test_same_wrong_bytes_in_two_banks_lose(shared_drive: Drive, file: tuple[Path, bytes]) -> None:
    path, body = file
    for base in shared_drive.bases[:2]:
        spoil(shared_drive, base, key_of(path))
    drop_caches()
    assert path.read_bytes() == body
    shared_drive.wait_healthy()
    shared_drive.trivet("verify", str(path), "--deep")


def test_one_bank_away_and_one_spoiled(shared_drive: Drive, file: tuple[Path, bytes]) -> None:
    path, body = file
    shared_drive.trivet("stop", str(shared_drive.bases[1]))
    try:
        spoil(shared_drive, shared_drive.bases[0], key_of(path))
        drop_caches()
        assert path.read_bytes() == body
    finally:
        shared_drive.trivet("start", str(shared_drive.bases[1]))
    shared_drive.wait_healthy()
    assert path.read_bytes() == body


def test_spoiled_top_folder_is_repaired(shared_drive: Drive) -> None:
    names = sorted(os.listdir(shared_drive.folder))
    repaired = shared_drive.status()["repaired_total"]
    spoil(shared_drive, shared_drive.bases[2], b"/")
    drop_caches()
    assert sorted(os.listdir(shared_drive.folder)) == names
    shared_drive.wait_status(lambda told: told["healthy"] and told["repaired_total"] > repaired)
    assert shared_drive.folder.stat().st_mode & 0o777 == 0o755


def test_foreign_entries_stay_and_never_show(shared_drive: Drive) -> None:
    for base in shared_drive.bases:
        for port in shared_drive.ports_of(base):
            shared_drive.put(port, b"/nobody knows", b"me")
    shared_drive.put(shared_drive.bases[0], b"/short", b"lived", ttl=1)
    shared_drive.wait_fresh_refresh()
    assert "nobody knows" not in os.listdir(shared_drive.folder)
    assert not (shared_drive.folder / "nobody knows").exists()
    for base in shared_drive.bases:
        assert shared_drive.get(base, b"/nobody knows") == b"me"
    status = shared_drive.wait_healthy()
    assert status["banks"][0]["servers"][0]["foreign"] >= 1
    wait(lambda: shared_drive.get(shared_drive.bases[0], b"/short") is None, deadline_s=5)


def test_content_is_printed_to_the_log(shared_drive: Drive) -> None:
    (shared_drive.folder / "printed").write_text("find me in the log")
    base = shared_drive.bases[0]
    with shared_drive.proxy(base) as proxy:
        assert proxy.print_content() is True
        with pytest.raises(Fault):
            proxy.no_such_method()
    folder = shared_drive.state / f"bank-{base}" / f"server-{base}"
    wait(lambda: b"/printed" in (folder / "server.log").read_bytes(), deadline_s=5)
    assert b'"POST /RPC2 HTTP/1.' in (folder / "access.log").read_bytes()
