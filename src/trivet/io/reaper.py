"""The small process between trivet and one child: it starts the child, and nothing outlives it.

Run as a file by `runner.py`, never imported. It is a child subreaper, so every descendant of the child
stays below it, whatever sessions or environments they make for themselves.

Rule: standard library only; it starts in the time that Python needs.
Rule: when the control pipe closes (trivet asks, or trivet died), everything below is killed and reaped.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys

PR_SET_CHILD_SUBREAPER = 36
#: How often one sweep over the descendants is repeated before it is called hopeless (one in D state).
SWEEPS = 2000
SWEEP_PAUSE_S = 0.002


def _family() -> dict[int, tuple[str, str]]:
    """Return pid -> (name, state) of every living descendant of this process."""
    parents: dict[int, int] = {}
    told: dict[int, tuple[str, str]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        fields = text[text.rindex(")") + 2 :].split()
        parents[int(entry)] = int(fields[1])
        told[int(entry)] = (text[text.index("(") + 1 : text.rindex(")")], fields[0])
    found: dict[int, tuple[str, str]] = {}
    fresh = {os.getpid()}
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh and pid not in found}
        found.update({pid: told[pid] for pid in fresh})
    return found


def _reap() -> dict[int, int]:
    """Collect every child that has ended: pid -> wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = status


def _signal(pid: int, number: int) -> None:
    # PermissionError: a set-user-id program; the report says that it stayed
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _sweep(main_pid: int) -> tuple[dict[int, str], int | None]:
    """Kill and reap all descendants; return those killed (pid -> name) and the main child's status."""
    killed: dict[int, str] = {}
    status: int | None = None
    for _ in range(SWEEPS):
        for pid, (name, state) in _family().items():
            if state != "Z":
                killed.setdefault(pid, name)
                _signal(pid, signal.SIGKILL)
        ended = _reap()
        status = ended.get(main_pid, status)
        if not _family():
            break
        select.select([], [], [], SWEEP_PAUSE_S)
    return killed, status


def _spawn(order: dict) -> int:  # type: ignore[type-arg]
    environment = {os.fsencode(name): os.fsencode(value) for name, value in order["env"].items()}
    if order["cwd"] is not None:
        os.chdir(order["cwd"])
    argv = [os.fsencode(word) for word in order["argv"]]
    return os.posix_spawn(
        argv[0],
        argv,
        environment,
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD),
    )


def _watch(control: int, woken: int, pid: int) -> int | None:
    """Wait until the main child ends (its status) or the control pipe closes (None)."""
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            status = _reap().get(pid)
            if status is not None:
                return status
        if control in ready:
            word = os.read(control, 64)
            if not word:
                return None
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)


def _read_all(number: int) -> bytes:
    text = b""
    while piece := os.read(number, 1 << 20):
        text += piece
    return text


def main(order_file: int, control: int, report: int) -> None:
    """Run the JSON order in `order_file`; `control` brings `term` words, `report` takes JSON lines."""
    for number in (order_file, control, report):
        os.set_inheritable(number, False)
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    woken, waker = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    order = json.loads(_read_all(order_file))

    def tell(**facts: object) -> None:
        with contextlib.suppress(BrokenPipeError):  # trivet died; what is below is swept all the same
            os.write(report, json.dumps(facts).encode() + b"\n")

    try:
        pid = _spawn(order)
    except OSError as error:
        tell(failed=error.errno or errno.EIO)
        return
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2, *order["handed"]):
        os.dup2(null, number)
    tell(pid=pid)
    status = _watch(control, woken, pid)
    killed, swept = _sweep(pid)
    status = swept if status is None else status
    code = None if status is None else os.waitstatus_to_exitcode(status)
    left = [pid for pid, (_, state) in _family().items() if state != "Z"]
    tell(code=code, killed=sorted(killed.items()), left=left)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
