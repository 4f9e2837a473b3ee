"""The runs of a stopped drive: what its door and its keeper left behind."""

import json
import time
from pathlib import Path

import pytest

from trivet.cli.main import run
from trivet.io.figures_reading import read_lives
from trivet.io.figures_store import FigureRow, FiguresStore
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.repair_history import RepairLog
from trivet.monitor.runs.waypoint_store import WaypointStore
from trivet.wire.control_messages import Finding

NOW = time.time()


@pytest.fixture
async def folder(tmp_path: Path) -> VolumeFolder:
    made = VolumeFolder(tmp_path / "state")
    made.create(VolumeConfig("00" * 8, [7000, 8000, 9000], 1))
    made.keeper_path.mkdir()
    history = RepairLog(made.keeper_path / "repairs.sqlite")
    await history.open()
    why = "checksum differs"
    await history.add([Finding("fixed", "/a", "page", 7000, why, NOW - 5, 8000, [], NOW - 8),
                       Finding("fixed", "/b", "page", 7000, why, NOW - 4)])  # fmt: skip
    await history.close()
    return made


def stats(
    folder: VolumeFolder, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    code = run(["runs", "stats", "--drive", "--state", str(folder.path), "--json", *more])
    assert code == 0
    told: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return told


async def test_repairs_alone(folder: VolumeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    repair = stats(folder, capsys)["phases"]["repair"]
    assert isinstance(repair, dict)
    assert (repair["count"], round(repair["max"], 3), repair["min"]) == (2, 3.0, 0.0)


async def test_transfers_and_repairs(folder: VolumeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    store = WaypointStore(folder.gateway_path / "runs")
    names = ("request", "queue_start", "queue_end", "transfer_start", "transfer_end")
    tags = json.dumps({"queue": "upload", "requestor": "ann"})
    store.append([("r", name, round((NOW - 60 + place) * 1e9), "door", place, tags)
                  for place, name in enumerate(names)])  # fmt: skip
    store.close()
    told = stats(folder, capsys)
    assert told["runs"] == 3
    assert set(told["phases"]) == {"initialisation", "queue", "transfer", "repair"}
    assert stats(folder, capsys, "--where", "queue=repair")["runs"] == 2
    assert run(["runs", "--drive", "--state", str(folder.path)]) == 0
    shown = capsys.readouterr().out
    assert "repair /a on 7000" in shown
    assert "3 runs, newest first" in shown


async def test_wrong_use(folder: VolumeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["runs", "chart", "x.csv", "--drive", "--state", str(folder.path)]) == 2
    assert "leave the files out" in capsys.readouterr().err
    assert run(["runs", "--drive", "--state", str(tmp_path / "none")]) == 2
    assert "holds no volume" in capsys.readouterr().err
    (folder.keeper_path / "repairs.sqlite").write_bytes(b"no history" * 99)
    assert run(["runs", "--drive", "--state", str(folder.path)]) == 2
    assert "can't be read" in capsys.readouterr().err
    (folder.keeper_path / "repairs.sqlite").unlink()
    assert run(["runs", "--drive", "--state", str(folder.path)]) == 2
    assert "nothing was transferred or repaired yet" in capsys.readouterr().err


def test_processes_of_a_drive_are_runs_as_long_as_they_lived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, began_s = tmp_path / "processes.sqlite", 1_700_000_000
    kept = FiguresStore(path)
    for second in range(0, 3600, 10):
        rows = [FigureRow("keeper", "keeper", 1, 2.0, 5 << 20, 9)]
        if 60 <= second < 120:
            rows.append(FigureRow("door worker", "door worker 1", 2, 2.0, 9 << 20, 9))
        if second >= 120:
            rows.append(FigureRow("door worker", "door worker 1", 3, 2.0, 9 << 20, 9))
        kept.add(began_s + second, rows)
    kept.close()
    assert [(one.pid, one.begin_s - began_s, one.end_s and one.end_s - began_s)
            for one in read_lives(path)] == [(1, 0, None), (2, 60, 120), (3, 120, None)]  # fmt: skip
    capsys.readouterr()
    assert run(["runs", "stats", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == 3
    assert told["phases"]["running"]["max"] == 60.0
    path.write_bytes(b"SQLite format 3\0 and nothing else")
    assert run(["runs", "stats", str(path)]) == 2
    assert "only processes.sqlite of a drive's state can be read" in capsys.readouterr().err
