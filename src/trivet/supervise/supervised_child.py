"""One process of the drive that ought to run: what is wanted of it, and what it is doing.

Rule: it is changed here and carried out by whoever runs it (`children.py`), who waits for `changed`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trivet.io import runner
from trivet.wire import control_messages
from trivet.wire.bank_messages import ServerStat

#: How long after a death, if it had lived for a while, a process is started again.
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
QUICK_DEATH_S = 10.0
SERVED_S = 2.0
#: How long a process has to end after SIGTERM.
PARTING_S = 8.0

State = Literal["up", "down", "stopped"]
Role = Literal["bank", "keeper", "standby", "gateway", "upstream", "mount"]


class SupervisedChild:
    """One process that ought to run: a server, the keeper (port None), a worker of the door at `address`.

    `number` is a worker's; `pass_fds` are descriptors that it inherits. Who is `leaving` finishes what it
    has begun, ends by itself and is not started again.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        log_path: Path,
        port: int | None,
        *,
        role: Role = "bank",
        address: str | None = None,
        number: int = 0,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.role = role
        self.address = address
        self.number = number
        self.pass_fds = pass_fds
        self.leaving = False
        self.arguments = list(arguments)
        #: How it is started after the first time, None: as then.
        self.again: list[str] | None = None
        self.pause_s = FIRST_PAUSE_S
        self.log_path = log_path
        self.port = port
        self.stopped = False
        self.left_alone = False
        self.by_hand: ServerStat | None = None
        self.restarts = 0
        #: When the present process first answered, as `time.monotonic` says; never: infinity.
        self.answered_s = float("inf")
        self.running: runner.Child | None = None
        self.changed = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def name(self) -> str:
        """What log lines call it."""
        if self.role == "gateway":
            return f"door worker {self.number}" + " (leaving)" * self.leaving
        return f"server {self.port}" if self.role == "bank" else f"the {self.role}"

    @property
    def pid(self) -> int | None:
        """The process, None if there is none."""
        return self.running.pid if self.running else self.by_hand.pid if self.by_hand else None

    @property
    def state(self) -> State:
        """Whether it runs; "stopped" only if somebody asked for that."""
        if self.running is not None or self.by_hand is not None:
            return "up"
        return "stopped" if self.stopped else "down"

    @property
    def wanted(self) -> bool:
        """Whether it is to run."""
        return not (self.stopped or self.left_alone)

    def pause_after(self, before_s: float, lived_s: float, served_s: float = 0.0) -> float:
        """Return how long to wait before the next start, after a pause of `before_s` and a life of `lived_s`.

        Ever longer for what dies quickly, so that it does not take a processor for itself; who was seen to
        answer, and served for `served_s`, did not die of its start.
        """
        was_well = lived_s > QUICK_DEATH_S or served_s > SERVED_S
        return self.pause_s if was_well else min(before_s * 2, LONGEST_PAUSE_S)

    def set_stopped(self, stopped: bool) -> None:
        """Say whether it is stopped on purpose; either way a death of before is forgotten."""
        self.stopped = stopped
        self.left_alone = False
        self.changed.set()

    def ask_by_hand_to_end(self) -> None:
        """Ask the process that somebody else started to end, if there is one."""
        if self.by_hand is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.by_hand.pid, signal.SIGTERM)

    async def wait_changed(self, timeout_s: float | None = None) -> None:
        """Wait until somebody changed what is wanted of it, at most `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.changed.wait()
        self.changed.clear()

    def told(self) -> control_messages.Child:
        """Return it as the control socket tells it."""
        return control_messages.Child(
            role=self.role,
            address=self.address,
            port=self.port,
            pid=self.pid,
            state=self.state,
            log=str(self.log_path),
            by_hand=self.by_hand is not None,
            restarts=self.restarts,
            leaving=self.leaving,
        )
