"""Who may be the keeper: by locks on one machine; over two hosts a free lock proves nothing."""

from pathlib import Path

import pytest

from trivet.errors import ConfigError
from trivet.io.volume_folder import PAIR_FORMAT, VolumeConfig, VolumeFolder
from trivet.keeper.seat import Seat
from trivet.quorum.membership import KEEPER, STANDBY

PAIR = VolumeConfig(
    "name", [7000, 8000, 9000], 1, format=PAIR_FORMAT,
    hosts={"7000": "alpha", "8000": "beta", "9000": "gamma"}, keeper="alpha", standby="beta",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    return VolumeFolder(tmp_path)


async def test_on_one_machine_a_free_lock_says_that_the_other_is_dead(folder: VolumeFolder) -> None:
    first, second = Seat(folder), Seat(folder, STANDBY, stands_by=True)
    await first.take()
    await second.take()
    assert not second.take_other()
    first.let_go()
    assert second.take_other()
    assert second.other_is_dead
    second.let_go()


@pytest.mark.parametrize("host", ["alpha", "beta"])
async def test_on_two_hosts_nobody_takes_the_other_for_dead(folder: VolumeFolder, host: str) -> None:
    seat = Seat.on_host(folder, PAIR, host)
    await seat.take()
    assert seat.stands_by
    assert seat.has_other
    assert not seat.take_other()
    assert not seat.other_is_dead
    assert folder.leader == seat.name
    seat.let_go()


async def test_on_two_hosts_each_has_a_mark_of_its_own(folder: VolumeFolder) -> None:
    """What lies in the other's folder was copied there, and may be as old as the copy."""
    second = Seat.on_host(folder, PAIR, "beta")
    second.other_folder.keeper_path.mkdir()
    assert second.mark_paths == [folder.path / STANDBY / "high_water"]


def test_each_host_has_its_keeper_and_the_third_has_none(folder: VolumeFolder) -> None:
    first, second = Seat.on_host(folder, PAIR, "alpha"), Seat.on_host(folder, PAIR, "beta")
    assert (first.name, first.other_host) == (KEEPER, "beta")
    assert (second.name, second.other_host) == (STANDBY, "alpha")
    with pytest.raises(ConfigError, match="run on alpha and beta, not on gamma"):
        Seat.on_host(folder, PAIR, "gamma")


async def test_a_name_is_not_taken_twice_on_one_host(folder: VolumeFolder) -> None:
    first, again = Seat(folder), Seat(folder)
    await first.take()
    with pytest.raises(ConfigError, match="another keeper already serves"):
        await again.take()
    first.let_go()
