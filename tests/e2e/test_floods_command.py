"""`trivet floods` as a user types it: exit codes, several servers, bad input, the page."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trivet.cli.main import run

START = 1717372800


def trivet(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "trivet", "floods", *argv],
        capture_output=True, text=True, timeout=60, env={**os.environ, **env},
    )  # fmt: skip


def line(t: float, ip: str, url: str) -> str:
    """Return a Combined line."""
    stamp = datetime.fromtimestamp(int(t), UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{ip} - - [{stamp}] "GET {url} HTTP/1.1" 200 17 "-" "test"\n'


def fleet_log(devices: int, *, first: int = 1) -> str:
    """Return an hour of `devices` in lock-step."""
    return "".join(
        line(START + k * 150, f"10.0.0.{first + d}", "/checkin") for k in range(24) for d in range(devices)
    )


def calm_log() -> str:
    """Return a few visits in which nothing is to be found."""
    return "".join(line(START + k * k * 17 % 3600, f"10.7.0.{k % 5}", f"/p{k % 7}") for k in range(40))


def test_exit_codes_and_fail_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet, calm = tmp_path / "fleet.log", tmp_path / "calm.log"
    fleet.write_text(fleet_log(12))
    calm.write_text(calm_log())
    found = trivet(str(fleet))
    assert found.returncode == 1
    assert "12 devices ask for /checkin every 150 s" in found.stdout
    for argv, code in (
        ([str(calm)], 0),
        ([str(fleet), "--fail-on", "storms,pace"], 0),
        ([str(fleet), "--fail-on", "none"], 0),
        ([str(fleet), "--fail-on", "lockstep"], 1),
    ):
        assert run(["floods", *argv]) == code, argv
    capsys.readouterr()
    for argv in (
        ["--fail-on", "sharks"],
        ["--pair-by", "x"],
        ["--date", "today"],
        ["--memory-mb", "0"],
        ["--nope"],
    ):
        assert run(["floods", str(fleet), *argv]) == 2
        said = capsys.readouterr().err
        assert argv[0] in said or argv[-1] in said


def test_standard_input_is_read() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "trivet", "floods", "-", "--json"],
        input=fleet_log(7), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert len(json.loads(ran.stdout)["lockstep"][0]["devices"]) == 7


def test_the_fleet_is_in_the_agreed_shape(tmp_path: Path) -> None:
    path = tmp_path / "fleet.log"
    path.write_text(fleet_log(12))
    report = json.loads(trivet(str(path), "--json").stdout)
    (found,) = report["lockstep"]
    assert found["url"] == "/checkin"
    assert found["period_s"] == pytest.approx(150, rel=0.01)
    assert found["devices"] == sorted(f"10.0.0.{d}" for d in range(1, 13))
    assert found["since"] == "2024-06-03T00:00:00+00:00"
    assert found["rayleigh_r"] > 0.99
    assert found["requests"] == 288
    assert found["examples"][0] == {
        "file": str(path), "line": 1, "time": found["since"], "ip": "10.0.0.1", "url": "/checkin",
    }  # fmt: skip
    assert report["steady"] == []
    assert report["storms"] == []


def test_a_fleet_spread_over_servers_shows_in_the_whole(tmp_path: Path) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    # A stand-in for ssh: the test has no other machine.
    (bin_folder / "ssh").write_text(
        '#!/bin/sh\n[ "$1" = dead ] && { echo no route >&2; exit 255; }\nshift\nexec sh -c "$*"\n'
    )
    (bin_folder / "ssh").chmod(0o755)
    for number, first in enumerate((1, 5, 9), 1):
        (tmp_path / f"tm{number}.2024-06-03.log").write_text(fleet_log(4, first=first) + calm_log())
    sources = [f"tm{n}={tmp_path}/tm{n}.{{date}}.log" for n in (1, 2)]
    sources.append(f"tm3=ssh far:{tmp_path}/tm3.{{date}}.log")
    page = tmp_path / "daily.html"
    run = trivet(
        *sources, "tm4=ssh dead:/a.log", "--date", "2024-06-03", "--json", "--html", str(page),
        PATH=f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    )  # fmt: skip
    report = json.loads(run.stdout)
    assert [one["server"] for one in report["servers"]] == ["tm1", "tm2", "tm3"]
    assert all(one["lockstep"] == [] for one in report["servers"]), "four devices are no fleet"
    assert len(report["lockstep"][0]["devices"]) == 12
    assert "no route" in report["failed"]["tm4"]
    assert "tm4 could not be read" in run.stderr
    assert run.returncode == 1
    html = page.read_text()
    for shown in ("All servers", "tm3", "Not read", "12 devices ask for /checkin", "data-chart"):
        assert shown in html


def test_bad_input_is_told_counted_survived(tmp_path: Path) -> None:
    good = tmp_path / "good.log"
    junk = (
        b"\x00\x01\xff" * 50
        + b"\n"
        + b"A" * 1_000_000
        + b"\n\n"
        + b'10.0.0.1 - - [99/Foo/2024:00] "GET / H" 1 2\n'
    )
    hostile = (
        line(START, "10.0.0.9", "/\x1b[31mred\x07").encode()
        + b'10.0.0.9 - - [03/Jun/2024:00:00:01 +0000] "GET /\xff HTTP/1.1" 200 1\n'
    )
    good.write_bytes(
        calm_log().encode() + junk + hostile + line(START, "10.0.0.9", "/last").encode().rstrip()
    )
    text = trivet(str(good))
    assert text.returncode == 0
    assert "\x1b" not in text.stdout
    assert "4 malformed lines" in text.stdout
    assert "/\\x1b[31mred\\x07" in text.stdout
    report = json.loads(trivet(str(good), "--json").stdout)
    assert report["reading"]["malformed"] == 4
    assert report["reading"]["records"] == 43
    assert any("clock goes back" in problem for problem in report["reading"]["problems"])


@pytest.mark.parametrize(
    ("name", "content", "said", "code"),
    [
        ("missing.log", None, "missing.log", 2),
        ("folder", "", "directory", 2),
        ("prose.log", b"dear diary\n" * 9, "no access log", 2),
        ("empty.log", b"", "no request in the log", 0),
    ],
)
def test_unusable_files(tmp_path: Path, name: str, content: bytes | str | None, said: str, code: int) -> None:
    path = tmp_path / name
    if content == "":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    run = trivet(str(path))
    assert run.returncode == code
    assert said in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_one_bad_file_among_good_ones_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(fleet_log(6))
    (tmp_path / "b.log").write_text("dear diary\n")
    report = json.loads(trivet(f"{tmp_path}/*.log", "--json").stdout)
    assert len(report["lockstep"][0]["devices"]) == 6
    assert any("no access log" in problem for problem in report["reading"]["problems"])
