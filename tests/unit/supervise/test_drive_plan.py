"""What one host of a drive runs: the mount beside the keeper, or one of its own."""

from pathlib import Path

import msgspec
import pytest

from trivet.cli.up import stuck_lines
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.drive_plan import DrivePlan

CONFIG = VolumeConfig(
    "name",
    [7000, 8000, 9000],
    1,
    hosts={"7000": "alpha", "8000": "beta", "9000": "gamma"},
    keeper="alpha",
    keeper_port=6900,
)


def plan(
    host: str | None, mount: Path | None, *, read_only: bool = False, config: VolumeConfig = CONFIG
) -> DrivePlan:
    return DrivePlan(
        VolumeFolder(Path("/state")), config, mount, "default", 60.0, True, read_only=read_only, host=host
    )


@pytest.mark.parametrize("host", ["alpha", None])
def test_the_keeper_mounts_where_it_runs(host: str | None) -> None:
    made = plan(host, Path("/drive"))
    assert made.mount_arguments() is None
    assert "/drive" in (made.keeper_arguments() or [])


def test_another_host_mounts_by_itself() -> None:
    made = plan("beta", Path("/drive"), read_only=True)
    assert made.keeper_arguments() is None
    assert made.mount_arguments() == ["serve", "mount", "/drive", "--state", "/state", "--read-only"]
    assert made.own_ports() == [8000]


def test_another_host_mounts_nothing_unless_it_is_told_where() -> None:
    assert plan("gamma", None).mount_arguments() is None


@pytest.mark.parametrize(("host", "name"), [("alpha", "keeper"), ("beta", "standby")])
def test_a_keeper_on_each_of_two_hosts(host: str, name: str) -> None:
    made = plan(host, Path("/drive"), config=msgspec.structs.replace(CONFIG, standby="beta"))
    arguments = made.keeper_arguments() or []
    assert arguments[-2:] == ["--this-host", host]
    assert "/drive" in arguments
    assert made.mount_arguments() is None
    assert made.config.keeper_on(host) == name
    assert made.config.host_of_keeper(name) == host


def test_the_third_host_has_none_of_two_keepers() -> None:
    made = plan("gamma", Path("/drive"), config=msgspec.structs.replace(CONFIG, standby="beta"))
    assert made.keeper_arguments() is None
    assert made.mount_arguments() is not None


@pytest.mark.parametrize(
    ("note", "how"),
    [("", "serves nothing"), ("; until then /drive shows the drive read-only", "takes no changes")],
)
def test_a_drive_that_may_not_serve_says_whether_it_can_be_read(note: str, how: str) -> None:
    lines = stuck_lines(plan(None, Path("/drive")), f"NoMajority: banks were rolled back{note}")
    assert lines[0] == f"the drive is up but {how}: NoMajority: banks were rolled back{note}"
