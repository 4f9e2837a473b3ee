"""With one bank stopped, a server of another dies in the middle of large writes: nobody waits for ever."""

import contextlib
import os
import threading
import time

import pytest

from drive_under_test import Drive

pytestmark = pytest.mark.mount


def test_log_goes_on_after_a_server_of_the_second_bank_died(new_drive: Drive) -> None:
    new_drive.up()
    new_drive.trivet("stop", str(new_drive.bases[2]))
    done = threading.Event()

    def write_on(name: str) -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):  # while one bank is left, nothing can be written
                (new_drive.folder / name).write_bytes(os.urandom(3 << 20))

    writers = [threading.Thread(target=write_on, args=(name,)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            slot = new_drive.status()["keeper"]["slot"]
            new_drive.wait_status(lambda told, slot=slot: told["keeper"]["slot"] > slot + 30)
            new_drive.kill(new_drive.server_pid(new_drive.bases[0]))
            slot = new_drive.status()["keeper"]["slot"]
            new_drive.wait_status(lambda told, slot=slot: told["keeper"]["durable_slot"] > slot)
    finally:
        done.set()
        for writer in writers:
            writer.join()
    fsync(new_drive)
    new_drive.trivet("start", str(new_drive.bases[2]))
    new_drive.wait_healthy()


def fsync(drive: Drive) -> None:
    began = time.monotonic()
    with (drive.folder / "after").open("wb") as file:
        file.write(bytes(300_000))
        file.flush()
        os.fsync(file.fileno())
    assert time.monotonic() - began < 5
