"""Lets `trivet up --detach` return once the drive is up: a process of its own session that reports back.

Rule: the report is one JSON line on a pipe: {"ready": true, "notes": [...]} or {"error": {...}, "running"}:
what went wrong, and whether the drive runs all the same.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trivet.errors import TrivetError
from trivet.io.control_socket import Remote

READY_VARIABLE = "TRIVET_READY_FD"


def launch(arguments: Sequence[str], log_path: Path) -> list[str]:
    """Run `trivet ARGUMENTS` detached, its output in `log_path`; return its notes once it is ready.

    Raises Remote with the error it ended with, TrivetError when it died without a word.
    """
    log_path.parent.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    with log_path.open("ab") as log, os.fdopen(read_end, "rb") as report:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "trivet", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(write_end,),
            env={**os.environ, READY_VARIABLE: str(write_end)},
        )
        os.close(write_end)
        line = report.readline()
    if not line:
        raise TrivetError(f"the drive ended with exit code {child.wait()}; why is in {log_path}")
    told = json.loads(line)
    if "error" in told:
        if not told["running"]:
            child.wait()
        raise Remote(**told["error"])
    return list(told["notes"])


class Reporter:
    """The detached process's end of the report; does nothing in a process that nobody waits for."""

    def __init__(self) -> None:
        number = os.environ.pop(READY_VARIABLE, None)
        self._pipe = None if number is None else int(number)
        if self._pipe is not None:
            os.set_inheritable(self._pipe, False)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the report."""
        return self._pipe is not None

    def ready(self, notes: Sequence[str]) -> None:
        """Say that the drive is up."""
        self._tell({"ready": True, "notes": list(notes)})

    def failed(self, error: TrivetError, *, running: bool = False) -> None:
        """Say why it is not, and whether it stays `running`; nothing if it was ready before."""
        kind, code = type(error).__name__, error.exit_code
        told = {"kind": kind, "message": str(error), "exit_code": code}
        self._tell({"error": told, "running": running})

    def _tell(self, line: dict[str, Any]) -> None:
        if self._pipe is not None:
            os.write(self._pipe, json.dumps(line).encode() + b"\n")
            os.close(self._pipe)
            self._pipe = None
