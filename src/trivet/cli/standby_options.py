"""The options of `trivet up` about a second keeper that stands by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from trivet.cli.asking import absolute_mount_point
from trivet.errors import InputError
from trivet.supervise.keeper_pair import StandbyPlan

_GROUP = Group("A second keeper", sort_key=2)


@dataclass(frozen=True)
class StandbyOptions:
    """Whether there is one, and where it mounts."""

    standby: Annotated[
        bool,
        Parameter(negative="", help="Run a second keeper that follows the first and takes over from it."),
    ] = False
    standby_mount: Annotated[
        Path | None, Parameter(help="Its folder, read-only until it leads (`drive-standby` for `drive`).")
    ] = None


StandbyKeeper = Annotated[StandbyOptions, Parameter(name="*", group=_GROUP)]


def usual_standby_mount(mount: Path) -> Path:
    """Return the folder that a keeper which stands by mounts beside `mount`, if nobody names one."""
    return mount.with_name(f"{mount.name}-standby")


def standby_plan(asked: StandbyOptions, mount_point: Path | None) -> StandbyPlan | None:
    """Return the second keeper `asked` for beside one that mounts `mount_point`; raises InputError."""
    if not asked.standby and asked.standby_mount is None:
        return None
    if mount_point is None:
        if asked.standby_mount is not None:
            raise InputError("--standby-mount names a folder, --no-mount wants none: leave one away")
        return StandbyPlan(None)
    second = absolute_mount_point(asked.standby_mount or usual_standby_mount(mount_point))
    if second == mount_point or mount_point in second.parents or second in mount_point.parents:
        raise InputError(
            f"--standby-mount {second}: each keeper mounts a folder of its own, beside {mount_point}"
        )
    return StandbyPlan(second)
