"""Children broken on purpose: not read, never ending, leaving grandchildren behind; none may stay."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trivet.errors import NotFound, TrivetError
from trivet.io import runner

PYTHON = sys.executable


def alive(pid: int) -> bool:
    """Say whether `pid` is a process (a zombie counts: it was not reaped)."""
    return Path(f"/proc/{pid}").exists()


def python(tmp_path: Path, text: str) -> list[str]:
    """Write a Python program and return the words that run it."""
    path = tmp_path / "program.py"
    path.write_text(text)
    return [PYTHON, "-S", str(path)]


async def test_body_goes_in_and_output_comes_back(tmp_path: Path) -> None:
    body = os.urandom(300_000)
    words = python(
        tmp_path, "import sys; d=sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.exit(len(d) % 7)"
    )
    done = await runner.run(words, body=body)
    assert done.stdout == body
    assert (done.exit_code, done.body_unread_bytes, done.killed) == (len(body) % 7, 0, ())
    assert not done.truncated
    assert not alive(done.pid)


async def test_environment_is_the_one_given(tmp_path: Path) -> None:
    words = python(tmp_path, "import sys; sys.stdout.buffer.write(open('/proc/self/environ','rb').read())")
    done = await runner.run(words, env={"ONLY": "caf\udce9"})
    assert done.stdout == b"ONLY=caf\xe9\0"


async def test_output_is_bounded_and_the_rest_counted(tmp_path: Path) -> None:
    done = await runner.run(python(tmp_path, "print('x' * 999_999)"), keep_bytes=1000)
    assert (len(done.stdout), done.stdout_dropped_bytes) == (1000, 999_000)
    assert done.truncated


async def test_a_child_that_never_reads_stdin_is_no_hang(tmp_path: Path) -> None:
    done = await runner.run(python(tmp_path, "print('bye')"), body=b"x" * 500_000)
    assert (done.stdout, done.exit_code, done.body_unread_bytes) == (b"bye\n", 0, 500_000)


async def test_a_child_that_never_ends_is_killed_at_the_deadline(tmp_path: Path) -> None:
    words = python(
        tmp_path,
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(99)",
    )
    before_s = time.monotonic()
    done = await runner.run(words, deadline_s=1.0, grace_s=0.2)
    assert time.monotonic() - before_s < 10
    assert done.timed_out
    assert done.exit_code == -signal.SIGKILL
    assert [pid for pid, _ in done.killed] == [done.pid]
    assert not alive(done.pid)


async def test_sigterm_is_obeyed_within_the_grace_time(tmp_path: Path) -> None:
    words = python(
        tmp_path,
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('on', flush=True)\ntime.sleep(999)",
    )
    seen = asyncio.Event()

    async def sink(_: bytes) -> None:
        seen.set()

    async with runner.start(words, sink=sink) as child:
        await asyncio.wait_for(seen.wait(), 20)
        done = await child.stop(grace_s=20)
    assert (done.exit_code, done.killed, done.timed_out) == (5, (), False)


GRANDCHILD = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-S", "-c",
            "import os, time; print(os.getpid(), flush=True); time.sleep(999)"], {})
    os._exit(0)
os.wait()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


async def test_a_background_grandchild_with_its_own_session_does_not_stay(tmp_path: Path) -> None:
    told: list[int] = []
    flag = tmp_path / "end"

    async def sink(block: bytes) -> None:
        told.append(int(block))
        flag.touch()

    done = await runner.run([*python(tmp_path, GRANDCHILD), str(flag)], sink=sink, deadline_s=30)
    assert done.exit_code == 0
    assert [pid for pid, _ in done.background] == told
    assert not alive(told[0])
    assert not alive(done.pid)


async def test_cancelling_the_wait_kills_the_family(tmp_path: Path) -> None:
    told: list[int] = []
    seen = asyncio.Event()

    async def sink(block: bytes) -> None:
        told.append(int(block))
        seen.set()

    task = asyncio.create_task(
        runner.run([*python(tmp_path, GRANDCHILD), str(tmp_path / "never")], sink=sink, deadline_s=60)
    )
    await asyncio.wait_for(seen.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(told[0])


async def test_a_sink_that_fails_ends_the_child(tmp_path: Path) -> None:
    async def sink(_: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await runner.run(python(tmp_path, "while True: print('x' * 4096)"), sink=sink, deadline_s=30)


async def test_output_to_a_file_and_handed_descriptors(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    try:
        with (tmp_path / "log").open("wb") as log:
            words = python(tmp_path, "import os, sys; print('log'); os.write(int(sys.argv[1]), b'handed')")
            async with runner.start(
                [*words, str(write_end)], stdout=log.fileno(), pass_fds=[write_end]
            ) as child:
                await child.wait(30)
        assert (tmp_path / "log").read_text() == "log\n"
        assert os.read(read_end, 100) == b"handed"
    finally:
        os.close(read_end)
        os.close(write_end)


async def test_what_can_not_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no-such-program-here"):
        await runner.run(["no-such-program-here"])
    plain = tmp_path / "plain"
    plain.write_text("no program")
    with pytest.raises(TrivetError, match="Permission denied"):
        await runner.run([plain])


def test_when_trivet_is_killed_its_children_go_too(tmp_path: Path) -> None:
    """SIGKILL of the process that runs the child: the reaper sees the closed pipe and sweeps."""
    program = python(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(999)")
    outer = (
        "import asyncio, sys\nfrom trivet.io import runner\n"
        "async def sink(b): print(b.decode(), end='', flush=True)\n"
        f"asyncio.run(runner.run({program!r}, sink=sink))\n"
    )
    with subprocess.Popen([PYTHON, "-c", outer], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.kill()
    deadline_s = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not alive(pid)
