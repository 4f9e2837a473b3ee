"""The command `trivet` on a terminal of its own, as a person runs it."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator

_CONTROLS = re.compile(r"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()][A-Z0-9]")
WAIT_S = 30


class Terminal:
    """One program on a terminal: what it has drawn so far, keys for it."""

    def __init__(self, pid: int, number: int) -> None:
        self._pid = pid
        self._number = number
        self.drawn = ""

    def wait_for(self, words: str) -> None:
        """Read until the program has drawn `words` one behind the other."""
        until = time.monotonic() + WAIT_S
        while words not in _CONTROLS.sub("", self.drawn):
            assert time.monotonic() < until, f"{words!r} was not drawn: {self.drawn[-3000:]!r}"
            assert self._read(1.0), f"it ended: {self.drawn[-3000:]!r}"

    def type(self, keys: str) -> None:
        """Press `keys`."""
        os.write(self._number, keys.encode())

    def ended(self) -> int:
        """Wait for the end; return the exit code."""
        until = time.monotonic() + WAIT_S
        while self._read(1.0):
            assert time.monotonic() < until, "it does not end"
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._number], [], [], timeout_s)
        if not ready:
            return True
        try:
            data = os.read(self._number, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.drawn += data.decode(errors="replace")
        return bool(data)


@contextlib.contextmanager
def terminal(*words: str, columns: int = 160, lines: int = 50) -> Iterator[Terminal]:
    """Run `trivet` with `words` on a new terminal; it is killed at the end of the block if it still runs."""
    known = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
    pid, number = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "trivet", *words], {**os.environ, **known})
    fcntl.ioctl(number, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    try:
        yield Terminal(pid, number)
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, 9)
                os.waitpid(pid, 0)
        os.close(number)
