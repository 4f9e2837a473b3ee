"""A person's own drive through the commands: consent in a browser, status, transfers, a great removal."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from drive_under_test import Drive, running_drive
from vendor_login import LoginServer, login_server
from vendor_server import Vendor, serving

FILES = 24
#: Whole drives start, stop and restart; most of a run is over in 20 s on a free machine.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with serving(Vendor()) as running:
        place = running.folder("reports")
        for number in range(FILES):
            running.put(f"{number}.txt", b"report %d" % number, place)
        yield running


@pytest.fixture
def server(vendor: Vendor) -> Iterator[LoginServer]:
    with login_server() as running:
        vendor.face.bearers = running.bearers
        yield running


def add(drive: Drive, server: LoginServer, vendor: Vendor, place: Path) -> str:
    """Type `trivet upstream add`, allow access in the browser; return what was printed in the end."""
    place.write_text(json.dumps({"installed": server.client}))
    words = ["upstream", "add", "google", "--credentials", str(place), "--upstream-url", vendor.url]
    words += ["--at", "/google", "--poll", "1", "--quiet", "0.5", "--attempts", "1", "--no-browser"]
    command = [sys.executable, "-P", "-m", "trivet", *words, "--state", str(drive.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as adding:
        assert adding.stdout is not None
        printed = ""
        while (found := re.search(r"^  (http\S+)$", printed, re.MULTILINE)) is None:
            line = adding.stdout.readline()
            assert line, f"it ended without an address: {printed}"
            printed += line
        assert "can close this window" in httpx.get(found[1], follow_redirects=True).text
        rest = adding.stdout.read()
        assert adding.wait(60) == 0
    return rest


def test_from_consent_to_a_great_removal(tmp_path: Path, vendor: Vendor, server: LoginServer) -> None:
    with running_drive(tmp_path, 1) as drive:
        assert "ann@example.org is at /google now: 25 files and folders" in add(
            drive, server, vendor, tmp_path / "client_secret.json"
        )
        token = drive.state / "upstream" / "google.token"
        assert token.stat().st_mode & 0o777 == 0o600
        reports = drive.folder / "google" / "reports"
        assert (reports / "7.txt").read_bytes() == b"report 7"

        shutil.rmtree(reports)
        wait_for(lambda: is_told(drive, "waits for somebody's yes"))
        assert vendor.drive.listed("trashed = true") == []
        assert "25 files and folders come back" in drive.trivet("upstream", "undo-removal").stdout
        wait_for(lambda: reports.is_dir() and len(list(reports.iterdir())) == FILES)
        subprocess.run(["cp", reports / "8.txt", tmp_path / "copy"], check=True)
        assert (tmp_path / "copy").read_bytes() == b"report 8"
        assert drive.trivet("upstream", "allow-removal").stdout == "No removal is held back.\n"

        vendor.faults.down = True
        with pytest.raises(OSError, match="temporarily unavailable"):
            (reports / "9.txt").read_bytes()
        (row,) = [one for one in _transfers(drive) if one["transfer"]["state"] == "parked"]
        listed = drive.trivet("transfers").stdout
        assert f"{row['transfer']['key']}  9.txt from google for " in listed
        assert "parked: no answer from the vendor" in listed
        wait_for(lambda: is_told(drive, "google at /google: away"))
        cancelled = drive.trivet("transfers", "cancel", row["transfer"]["key"]).stdout
        assert cancelled.startswith("9.txt: undone: cancelled by ")
        again = drive.trivet("transfers", "resume", row["transfer"]["key"], expect=2)
        assert "this transfer is over (rolled back); ask for the file again" in again.stderr
        vendor.faults.down = False
        wait_for(lambda: is_here(reports / "9.txt"))
        assert (reports / "9.txt").read_bytes() == b"report 9"

        limited = drive.trivet("upstream", "limit", "--download-per-day", "300MB")
        assert limited.stdout == "google: it counts now; `trivet upstream status` shows it.\n"
        wait_for(lambda: "of 300.0 MB used" in drive.trivet("upstream", "status", expect=None).stdout)


def is_told(drive: Drive, words: str) -> bool:
    """Tell whether `trivet upstream status` says `words`, and by its exit code that something is found."""
    done = drive.trivet("upstream", "status", expect=None)
    return done.returncode == 1 and words in done.stdout


def is_here(path: Path) -> bool:
    """Tell whether a file can be read now."""
    try:
        path.read_bytes()
    except BlockingIOError:
        return False
    return True


def wait_for(is_so: Callable[[], bool], within_s: float = 90.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.1)


def _transfers(drive: Drive) -> list[dict[str, dict[str, str]]]:
    told: list[dict[str, dict[str, str]]] = json.loads(drive.trivet("transfers", "--json").stdout)[
        "transfers"
    ]
    return told
