"""A drive with two keepers, each with a folder, and what ends the one that leads."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from drive_under_test import Drive
from free_ports import free_port
from trivet.errors import TrivetError
from trivet.io.control_socket import ask
from trivet.io.mount_table import find_mount
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import NOT_MOUNTED, Status

DEADLINE_S = 60.0
SILENCE_S = 1.0


class Pair:
    """A drive with two keepers, each with a folder; `port` is for its HTTP door."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.state = VolumeFolder(drive.state)
        self.port = free_port()
        self.folders = {"keeper": drive.folder, "standby": drive.folder.with_name("drive-standby")}

    def asked(self) -> Status | None:
        """Return what the keeper that leads says, None if nobody does."""
        with contextlib.suppress(TrivetError):
            return msgspec.convert(asyncio.run(self._ask()), Status)
        return None

    async def _ask(self) -> dict[str, Any]:
        return await ask(self.state.keeper_socket, "status", silence_s=SILENCE_S)

    def settled(self) -> Status:
        """Wait until one leads, its folder is mounted, and the other one follows it; return its status."""
        return self.until(
            lambda told: bool(told.standby and told.standby.state == "follows" and not told.notes)
        )

    def until(self, good: Callable[[Status], bool]) -> Status:
        """Wait until somebody leads whose folder is mounted and whose status is `good`."""
        until = time.monotonic() + DEADLINE_S
        while True:
            told = self.asked()
            if told is not None and good(told) and NOT_MOUNTED not in told.notes and self.is_mounted(told):
                return told
            assert time.monotonic() < until, told
            time.sleep(0.02)

    def followed(self, gone: Status) -> tuple[Status, float]:
        """Wait until the other keeper than `gone` leads; return its status and how long that took."""
        began = time.monotonic()
        told = self.until(lambda told: told.keeper.name != gone.keeper.name)
        return told, time.monotonic() - began

    def is_mounted(self, told: Status) -> bool:
        """Tell whether the folder of the keeper that leads is mounted."""
        entry = find_mount(self.folder_of(told))
        return entry is not None and entry.is_ours

    def folder_of(self, told: Status) -> Path:
        """Return the folder of the keeper that leads."""
        return self.folders[told.keeper.name]

    def kill(self, told: Status, number: int = signal.SIGKILL) -> None:
        """Send a signal to the keeper that leads."""
        assert told.keeper.pid is not None
        self.drive.kill(told.keeper.pid, number)
