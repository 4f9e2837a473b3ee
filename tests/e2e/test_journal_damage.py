"""Bytes of a journal spoiled under a running server: found by the scrub, mended, and told."""

from pathlib import Path

import pytest

from drive_under_test import running_drive

pytestmark = pytest.mark.mount
FOUND_WITHIN_S = 60


def test_a_journal_spoiled_under_a_running_server_is_found_and_mended(tmp_path: Path) -> None:
    with running_drive(tmp_path, 1, "--refresh", "0.5") as drive:
        for number in range(50):
            (drive.folder / f"file-{number}").write_bytes(b"%d" % number * 3000)
        drive.wait_healthy()
        base = drive.bases[1]
        first = drive.server_pid(base)
        journal = drive.state / f"bank-{base}" / f"server-{base}" / "journal"
        spoiled = max(journal.glob("0*.log"))
        with spoiled.open("r+b") as file:
            file.seek(2000)
            file.write(b"\xff" * 64)
        drive.wait_status(lambda told: is_back(told, base, first), FOUND_WITHIN_S)
        told = drive.trivet("repairs", "--since", "5m").stdout
        assert "(journal) [log]" in told, told
        assert f"on server {base}" in told
        drive.wait_healthy()
        for number in range(50):
            assert (drive.folder / f"file-{number}").read_bytes() == b"%d" % number * 3000
        assert drive.trivet("verify", "--deep").returncode == 0


def is_back(told: dict, base: int, before: int) -> bool:  # type: ignore[type-arg]
    """Tell whether the server at `base` ended, began again and counts."""
    servers = [one for bank in told["banks"] for one in bank["servers"] if one["port"] == base]
    return all(one["state"] == "up" and one["pid"] != before for one in servers)
