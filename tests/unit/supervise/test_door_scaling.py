"""The command for instances elsewhere: what it is told, and what becomes of one that fails or hangs."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from trivet.cli.main import run
from trivet.cli.scaling_options import ScalingOptions, scaling_plan
from trivet.errors import ConfigError
from trivet.insight.scaling import Thresholds
from trivet.supervise import door_scaling
from trivet.supervise.door_scaling import DoorScaling
from trivet.supervise.door_workers import DoorWorkers
from trivet.supervise.scaling_plan import ScalingPlan
from trivet.supervise.supervised_child import SupervisedChild
from trivet.wire.health_messages import MachineFigures, ProcessFigures, ScalingStep

LIMITS = Thresholds(for_s=1, remove_for_s=1, cooldown_s=0)
EVERY_S = 0.02


def script(place: Path, text: str) -> str:
    """Write a program; return its path."""
    path = place / "scale"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def busy_or_idle(pid: int, cpu: float) -> tuple[MachineFigures, list[ProcessFigures]]:
    """Return a look in which the worker `pid` uses `cpu` percent of a core, the machine as much."""
    machine = MachineFigures(1, cpu, 30.0, 10**9, 10**9, 0, 0)
    return machine, [ProcessFigures(pid, 1, "door worker", "w", cpu, 1, None, 1, 1, None, None, 1.0)]


class _Running:
    pid = 4242


async def steps_until(
    place: Path, command: str, cpu: Callable[[list[ScalingStep]], float], count: int
) -> list[ScalingStep]:
    """Feed looks until `count` steps were taken; return them."""
    worker = SupervisedChild([], place / "log", None, role="gateway", number=1)
    worker.running = _Running()  # type: ignore[assignment]
    workers = DoorWorkers(lambda number: worker, lambda number: place / "none.sock", 1)
    scaling = DoorScaling(ScalingPlan(LIMITS, command), workers, place, EVERY_S)
    async with scaling.running(), asyncio.timeout(30):
        while len(scaling.steps) < count:
            scaling.look(*busy_or_idle(_Running.pid, cpu(list(scaling.steps))))
            await asyncio.sleep(EVERY_S)
        return list(scaling.steps)


async def test_the_command_is_told_what_is_wanted_and_called_back_when_it_is_calm(tmp_path: Path) -> None:
    told = tmp_path / "told"
    variables = (
        "$TRIVET_SCALE $TRIVET_SCALE_OUTSIDE $TRIVET_SCALE_WORKERS $TRIVET_SCALE_CPU_PERCENT $TRIVET_STATE"
    )
    command = script(tmp_path, f'echo "$@ {variables}" >> {told}')
    steps = await steps_until(
        tmp_path, f"{command} --pool web", lambda taken: 95.0 if not taken else 0.0, count=2
    )
    assert [step.what for step in steps] == ["command called"] * 2
    lines = told.read_text().splitlines()
    assert lines == [f"--pool web up 1 up 1 1 95 {tmp_path}", f"--pool web down 0 down 0 1 0 {tmp_path}"]


async def test_a_command_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    command = script(tmp_path, "echo no quota left >&2; exit 3")
    steps = await steps_until(tmp_path, command, lambda _: 95.0, count=2)
    assert [step.what for step in steps] == ["command failed"] * 2
    assert "exit code 3; no quota left" in steps[0].why
    assert steps[1].workers == 1


async def test_a_command_that_hangs_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_scaling, "COMMAND_S", 1.0)
    pids = tmp_path / "pids"
    command = script(tmp_path, f"trap '' TERM; setsid sleep 600 & echo $$ $! > {pids}; wait")
    steps = await steps_until(tmp_path, command, lambda _: 95.0, count=1)
    assert steps[0].what == "command failed"
    assert "did not end within 1 s" in steps[0].why
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (ScalingOptions(max_workers=0), "--max-workers 0"),
        (ScalingOptions(workers=3, max_workers=2), "--workers 3"),
        (ScalingOptions(scale_memory=0), "--scale-memory"),
        (ScalingOptions(scale_command="/no/such/program up"), "no such program"),
        (ScalingOptions(scale_command="sh 'open"), "--scale-command"),
        (ScalingOptions(scale_for=float("nan")), "--scale-for"),
    ],
)
def test_plans_that_can_t_work_are_refused(options: ScalingOptions, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        scaling_plan(options)


def test_trivet_up_refuses_options_that_contradict_each_other_before_it_makes_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state", str(tmp_path / "state"), "--mount", str(tmp_path / "drive")]
    assert run(["up", *where, "--scale-up-cpu", "30", "--scale-down-cpu", "60"]) == 2
    told = capsys.readouterr().err
    assert "--scale-down-cpu 60 and --scale-up-cpu 30: the first must be below" in told
    assert list(tmp_path.iterdir()) == []


def test_the_usual_number_of_workers_leaves_half_of_the_processors_to_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = {}
    for processors in (1, 2, 3, 4, 8, 64):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=processors: set(range(count)))
        most[processors] = scaling_plan(ScalingOptions()).thresholds.max_workers
        assert scaling_plan(ScalingOptions(workers=6)).thresholds.max_workers == 6
        assert not scaling_plan(ScalingOptions(max_workers=1)).is_on
    assert most == {1: 1, 2: 1, 3: 1, 4: 2, 8: 4, 64: 4}


def test_a_plan_survives_the_way_to_the_detached_process() -> None:
    plan = scaling_plan(ScalingOptions(workers=2, max_workers=5, scale_command=f"sh -c {os.sep!r}"))
    assert "--max-workers" in plan.switches()
    assert plan.switches()[-1] == plan.command
