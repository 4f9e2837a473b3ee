"""The examples in deploy/: what they type is what the program takes, and systemd reads its units."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from trivet.cli.main import app

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
PROGRAM = "/srv/trivet/.venv/bin/trivet"


def composed() -> dict[str, Any]:
    """Return the services of the compose file by name."""
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return services


def command_of(unit: Path) -> list[str]:
    """Return the words of the command that a unit starts."""
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_start_what_there_is(unit: Path) -> None:
    program, *words = command_of(unit)
    assert program == PROGRAM
    app.parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    about_ours = [line for line in done.stderr.splitlines() if "trivet" in line]
    assert about_ours == [], "it also looks at units of the machine, and says what it thinks of them"


@pytest.mark.parametrize("name", sorted(composed()))
def test_containers_start_what_there_is(name: str) -> None:
    service = composed()[name]
    app.parse_args(service["command"], exit_on_error=False, print_error=False)
    assert service["command"][service["command"].index("--this-host") + 1] == name == service["hostname"]
    assert service["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


def test_the_image_has_all_that_the_drive_needs() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]
    (named,) = re.findall(r"'\.\[([a-z,]+)\]'", (DEPLOY / "Dockerfile").read_text())
    assert set(named.split(",")) == set(project["optional-dependencies"]) - {"dev"}
