"""The one room through which every child process goes: started, bounded, ended, with nothing left behind.

Rule: no shell; a new session; the body goes in through stdin; output is always drained and kept to a limit.
Rule: every child has its own reaper (`reaper.py`, a subreaper): when the child ends, or trivet does, its
whole family is killed and reaped, also a grandchild that made a session of its own.
Rule: whoever starts a child awaits its end; leaving the block kills what still runs.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trivet.errors import NotFound, TrivetError
from trivet.io.pipes import Body, Kept, memory_file, stream_pipe

#: How much of each output is kept when the caller names no other limit.
KEEP_BYTES = 1 << 20
#: How long the reaper may take to kill and reap a family (a process in D state can't be killed).
SWEEP_S = 10.0
REAPER = Path(__file__).with_name("reaper.py")
_BLOCK_BYTES = 1 << 16

Sink = Callable[[bytes], Awaitable[None]]
_Streams = tuple[asyncio.StreamReader, asyncio.StreamReader, asyncio.StreamReader]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a child ended.

    `exit_code` is negative for a signal (-9 = SIGKILL), None when the child could not be reaped.
    `killed` are the processes (pid, name) that had to be killed, the child itself among them if it was;
    `left` are pids that could not be killed (a set-user-id program, a process stuck in the kernel).
    """

    pid: int
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    stdout_dropped_bytes: int
    stderr_dropped_bytes: int
    body_unread_bytes: int
    duration_s: float
    timed_out: bool
    killed: tuple[tuple[int, str], ...]
    left: tuple[int, ...]

    @property
    def truncated(self) -> bool:
        """Whether output was dropped because it passed the limit."""
        return bool(self.stdout_dropped_bytes or self.stderr_dropped_bytes)

    @property
    def background(self) -> tuple[tuple[int, str], ...]:
        """The processes, other than the child itself, that were still alive when the child ended."""
        return tuple(one for one in self.killed if one[0] != self.pid)


class Child:
    """One running child; made by `start`, ended by itself, by `stop` or by leaving the block."""

    def __init__(self, reaper: asyncio.subprocess.Process, control: int, body: Body | None) -> None:
        self.pid = 0
        self._reaper = reaper
        self._control = control
        self._body = body
        self._started_s = time.monotonic()
        self._timed_out = False
        self._end: asyncio.Task[Finished] | None = None

    async def _begin(self, streams: _Streams, keep_bytes: int, sink: Sink | None) -> None:
        report, out, err = streams
        line = await report.readline()
        facts = json.loads(line) if line else {"failed": 0}
        if "failed" in facts:
            raise TrivetError(os.strerror(facts["failed"]) if facts["failed"] else "its reaper ended")
        self.pid = facts["pid"]
        kept = (Kept(keep_bytes), Kept(keep_bytes))
        drains = (
            asyncio.create_task(self._drain(out, sink or kept[0].take)),
            asyncio.create_task(self._drain(err, kept[1].take)),
        )
        self._end = asyncio.create_task(self._finish(report, kept, drains))

    async def _drain(self, stream: asyncio.StreamReader, sink: Sink) -> None:
        try:
            while block := await stream.read(_BLOCK_BYTES):
                await sink(block)
        except BaseException:
            self.kill()  # nobody reads any more: the child would wait for ever
            raise

    async def _finish(
        self, report: asyncio.StreamReader, kept: tuple[Kept, Kept], drains: Sequence[asyncio.Task[None]]
    ) -> Finished:
        line = await report.readline()
        duration_s = time.monotonic() - self._started_s
        self.kill()
        if not line:  # somebody killed the reaper: all that can still be named is the child's own group
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        facts = json.loads(line) if line else {"code": None, "killed": [], "left": []}
        await self._reaper.wait()
        if facts["left"]:  # they may hold the pipes open for ever
            for drain in drains:
                drain.cancel()
        for outcome in await asyncio.gather(*drains, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        return Finished(
            pid=self.pid,
            exit_code=facts["code"],
            stdout=bytes(kept[0].data),
            stderr=bytes(kept[1].data),
            stdout_dropped_bytes=kept[0].dropped_bytes,
            stderr_dropped_bytes=kept[1].dropped_bytes,
            body_unread_bytes=self._body.unread_bytes() if self._body else 0,
            duration_s=duration_s,
            timed_out=self._timed_out,
            killed=tuple((int(pid), str(name)) for pid, name in facts["killed"]),
            left=tuple(facts["left"]),
        )

    def terminate(self) -> None:
        """Ask the child's group to end (SIGTERM)."""
        if self._control >= 0:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._control, b"term\n")

    def kill(self) -> None:
        """Have the child and all its descendants killed and reaped; `wait` tells when that is done."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    async def wait(self, timeout_s: float | None = None) -> Finished:
        """Wait for the end; raise TimeoutError after `timeout_s` (the child then goes on)."""
        assert self._end is not None
        done, _ = await asyncio.wait([self._end], timeout=timeout_s)
        if not done:
            raise TimeoutError
        return self._end.result()

    async def stop(self, grace_s: float = 2.0, *, timed_out: bool = False) -> Finished:
        """Ask the child to end, kill what is left after `grace_s`, and return how it ended.

        `timed_out` marks the end as one by deadline.
        """
        self._timed_out = timed_out
        self.terminate()
        try:
            return await self.wait(grace_s)
        except TimeoutError:
            self.kill()
            return await self.wait()

    async def _leave(self) -> None:
        self.kill()
        if self._end is None:
            await self._reaper.wait()
        else:
            await asyncio.wait([self._end], timeout=SWEEP_S)


def _program(name: str, env: Mapping[str, str]) -> str:
    found = shutil.which(name, path=env.get("PATH", os.defpath)) if os.sep not in name else name
    if found is None:
        raise NotFound(f"the program {name} is not installed (not on the PATH)")
    return found


@contextlib.asynccontextmanager
async def start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    body: bytes = b"",
    stdout: int | None = None,
    stderr: int | None = None,
    sink: Sink | None = None,
    keep_bytes: int = KEEP_BYTES,
    pass_fds: Sequence[int] = (),
    parting_s: float = 0.0,
) -> AsyncIterator[Child]:
    """Start `argv` and yield the running Child; leaving the block kills what still runs.

    `env` is the whole environment (None = ours); `body` is what the child finds on stdin, then its end.
    `stdout`/`stderr`: file descriptors to write to instead of keeping `keep_bytes` of each.
    `sink` is awaited with every block of stdout instead of keeping it (back-pressure reaches the child).
    `pass_fds` stay open in the child under the same numbers. `parting_s` is the time the child has after
    SIGTERM before it is killed, also when it is trivet that dies. Raises NotFound, or TrivetError when the
    program can't be executed.
    """
    whole_env = dict(os.environ if env is None else env)
    words = [_program(str(argv[0]), whole_env), *(str(word) for word in argv[1:])]
    order = {
        "argv": words,
        "env": whole_env,
        "cwd": cwd and str(cwd),
        "handed": list(pass_fds),
        "parting_s": parting_s,
    }
    with contextlib.ExitStack() as closing:
        stdin = await Body.send(body, closing) if body else None
        report, report_write = await stream_pipe(closing)
        out, out_write = await stream_pipe(closing)
        err, err_write = await stream_pipe(closing)
        control_read, control_write = os.pipe()
        theirs = (memory_file(json.dumps(order).encode()), control_read, report_write)
        try:
            reaper = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(REAPER), *map(str, theirs)),
                stdin=stdin.read_end if stdin else asyncio.subprocess.DEVNULL,
                stdout=out_write if stdout is None else stdout,
                stderr=err_write if stderr is None else stderr,
                pass_fds=(*theirs, *pass_fds),
                start_new_session=True,
            )
        finally:
            for number in (*theirs, out_write, err_write):
                os.close(number)
        child = Child(reaper, control_write, stdin)
        try:
            try:
                await child._begin((report, out, err), keep_bytes, sink)
            except TrivetError as error:
                raise TrivetError(f"can't run {words[0]}: {error}") from None
            yield child
        finally:
            await asyncio.shield(asyncio.ensure_future(child._leave()))


async def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    body: bytes = b"",
    deadline_s: float = 60.0,
    grace_s: float = 0.5,
    keep_bytes: int = KEEP_BYTES,
    sink: Sink | None = None,
) -> Finished:
    """Run `argv` to its end, or to `deadline_s` seconds and `grace_s` more to obey SIGTERM.

    See `start` for the rest; `keep_bytes` of each output are kept, the remainder is counted.
    """
    async with start(argv, env=env, cwd=cwd, body=body, keep_bytes=keep_bytes, sink=sink) as child:
        try:
            return await child.wait(deadline_s)
        except TimeoutError:
            return await child.stop(grace_s, timed_out=True)
