"""A whole drive for a test: real processes, a real mount, free ports, and nothing left behind.

Rule: a drive is driven as a person does it: by the command `trivet`, the folder, signals and XML-RPC.
Rule: `close` ends it and asserts that no process, mount or port stays; what it had to clean up is a failure.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xmlrpc.client import Binary, ServerProxy

import msgspec
import psutil
import pytest

from free_ports import free_bases
from trivet.cli.status import drive_status
from trivet.io.mount_table import find_mount
from trivet.io.volume_folder import VolumeFolder

COMMAND_DEADLINE_S = 90
WAIT_S = 30


class Drive:
    """One drive with `servers` a bank; `folder` is where its files are."""

    def __init__(self, place: Path, servers: int = 2) -> None:
        self.servers = servers
        self.state = place / "state"
        self.folder = place / "drive"
        self.bases = free_bases(servers)
        #: What stands before the command that brings it up, `unshare ...` for one.
        self.up_within: list[str] = []

    def trivet(
        self, *words: str, expect: int | None = 0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `trivet WORDS --state ...`; assert the exit code unless `expect` is None."""
        within = self.up_within if words[:1] == ("up",) else []
        done = subprocess.run(
            [*within, sys.executable, "-m", "trivet", *words, "--state", str(self.state)],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=COMMAND_DEADLINE_S,
        )
        if expect is not None:
            assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *options: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Bring it up, detached, refreshing every 2 s unless `options` say otherwise."""
        refresh = [] if "--refresh" in options else ["--refresh", "2"]
        door = [] if "--port" in options else ["--no-gateway"]
        return self.trivet("up", *self.where(), "--detach", *refresh, *door, *options, expect=expect)

    def where(self) -> list[str]:
        """Return the options that say where this drive is."""
        ports = ",".join(map(str, self.bases))
        return ["--ports", ports, "--servers", str(self.servers), "--mount", str(self.folder)]

    def status(self) -> dict[str, Any]:
        """Return what `trivet status --json` tells, asked without a process of its own (we ask often)."""
        told: dict[str, Any] = msgspec.to_builtins(asyncio.run(drive_status(VolumeFolder(self.state))))
        return told

    def server(self, port: int) -> dict[str, Any]:
        """Return what status says of one server."""
        return next(s for bank in self.status()["banks"] for s in bank["servers"] if s["port"] == port)

    def ports_of(self, base: int) -> list[int]:
        """Return the ports of one bank."""
        return list(range(base, base + self.servers))

    def wait_healthy(self, deadline_s: float = WAIT_S) -> dict[str, Any]:
        """Wait until the drive is whole again; return that status."""
        return self.wait_status(lambda told: told["healthy"] is True, deadline_s)

    def wait_status(
        self, good: Callable[[dict[str, Any]], bool], deadline_s: float = WAIT_S
    ) -> dict[str, Any]:
        """Wait until status is `good`; return it."""
        until = time.monotonic() + deadline_s
        while not good(told := self.status()):
            assert time.monotonic() < until, f"status never came right: {json.dumps(told, indent=1)}"
            time.sleep(0.1)
        return told

    def wait_fresh_refresh(self) -> None:
        """Wait until a refresh has begun and ended from now on."""
        began = time.monotonic()

        def is_newer(told: dict[str, Any]) -> bool:
            age, took = told["refresh_age_s"], told["refresh_took_s"]
            return age is not None and took is not None and age + took < time.monotonic() - began

        self.wait_status(is_newer)

    def wait_scrubbed(self, since: float = 0.0) -> None:
        """Wait until this keeper ended a scrub after the time `since`; only that finds rot nobody reads."""

        def is_newer(told: dict[str, Any]) -> bool:
            age = told["scrub"]["finished_age_s"]
            return age is not None and age < time.monotonic() - since

        self.wait_status(is_newer)

    def assert_proved(self) -> None:
        """Assert that this keeper was elected, read copies and compared them: nothing rests on luck."""
        checks = self.status()["checks"]
        assert checks["votes"] >= 2
        assert checks["copies_read"] >= checks["copies_verified"] > 0
        assert checks["records_compared"] > 0
        assert checks["blobs_compared"] > 0
        assert checks["scrubbed_bytes"] > 0

    def assert_nothing_is_shown(self) -> None:
        """Assert that a drive that can't serve says so; without a guard its folder is empty."""
        if os.geteuid() == 0:
            with pytest.raises(OSError, match="not connected"):
                os.listdir(self.folder)
        else:
            assert os.listdir(self.folder) == []

    def wait_old_state(self) -> None:
        """Wait until the folder shows, read-only, what banks that were rolled back hold."""
        self.wait_status(lambda told: f"{self.folder} shows the drive read-only" in str(told["notes"]))
        with pytest.raises(OSError, match="Read-only"):
            (self.folder / "new").touch()

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process of this drive."""
        assert str(self.state) in " ".join(psutil.Process(pid).cmdline())
        os.kill(pid, number)

    def keeper_pid(self) -> int:
        """Return the keeper's process."""
        return next(p.pid for p in self.processes() if "keeper" in p.cmdline())

    def server_pid(self, port: int) -> int:
        """Return the process of one server."""
        return next(p.pid for p in self.processes() if str(port) in p.cmdline())

    def processes(self) -> list[psutil.Process]:
        """Return every process of this drive."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "trivet" in words and str(self.state) in words and process.status() != "zombie":
                    found.append(process)
        return found

    def proxy(self, port: int) -> ServerProxy:
        """Return the XML-RPC door of one server."""
        return ServerProxy(f"http://127.0.0.1:{port}/RPC2", allow_none=False)

    def put(self, port: int, key: bytes, value: bytes, ttl: int = 1000) -> None:
        """Put a value under a key through the XML-RPC door of one server."""
        with self.proxy(port) as proxy:
            assert proxy.put(Binary(key), Binary(value), ttl) is True

    def get(self, port: int, key: bytes) -> bytes | None:
        """Return the value of a key from the XML-RPC door of one server, None if it has none."""
        with self.proxy(port) as proxy:
            answer = proxy.get(Binary(key))
        assert isinstance(answer, dict)
        return answer["value"].data if "value" in answer else None

    def logs(self) -> str:
        """Return the end of every log file."""
        parts = []
        for path in sorted(self.state.rglob("*.log")):
            if path.parent.name != "journal":
                text = path.read_bytes()[-3000:].decode(errors="replace")
                parts.append(f"--- {path}\n{text}")
        return "\n".join(parts)

    def free_folder(self) -> None:
        """Unmount the folder if something is mounted there, whatever became of its process."""
        if find_mount(self.folder) is not None:
            subprocess.run(["umount", "-l", self.folder] if os.geteuid() == 0 else
                           ["fusermount3", "-uz", self.folder], check=False)  # fmt: skip

    def close(self) -> None:
        """End the drive; assert that it left nothing behind."""
        if not (self.state / "volume.json").exists():
            return
        done = self.trivet("down", expect=None)
        left = self.processes()
        for process in left:
            process.kill()
        mount = find_mount(self.folder)
        self.free_folder()
        assert done.returncode == 0 or "is not running" in done.stderr, done.stderr
        assert left == [], f"left running: {left}"
        assert mount is None, "left mounted"
        hidden = os.listdir(self.folder) if self.folder.is_dir() else []
        assert hidden == [], f"written beside the drive: {hidden}"


def drop_caches() -> None:
    """Let the kernel forget what it cached, where we may."""
    os.sync()
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")


@contextlib.contextmanager
def running_drive(place: Path, servers: int = 2, *options: str) -> Iterator[Drive]:
    """Bring a drive up for the time of the block; print its logs when the block fails."""
    drive = Drive(place, servers)
    try:
        drive.up(*options)
        yield drive
    except BaseException:
        print(drive.logs())
        raise
    finally:
        drive.close()
