"""To which ports a bank may grow, and which drives can't."""

import datetime
import json
from pathlib import Path

import msgspec
import pytest

from trivet.errors import InputError
from trivet.io.certificates import make_authority
from trivet.io.volume_folder import FORMAT, GROWN_FORMAT, VolumeConfig, VolumeFolder
from trivet.io.volume_growth import new_ports
from trivet.supervise.children import ChildKeeper
from trivet.supervise.describing import Describing

DRIVE = VolumeConfig("00" * 8, [7000, 8000, 9000], 2)


def test_a_bank_grows_by_the_ports_behind_its_last_one() -> None:
    assert new_ports(DRIVE, 8000, 1) == [8002]
    grown = DRIVE.grown(8000, 1)
    assert new_ports(grown, 8000, 2) == [8003, 8004]
    assert new_ports(grown, 9000, 1) == [9002]
    assert grown.grown(8000, 2).ports() == [[7000, 7001], [*range(8000, 8005)], [9000, 9001]]


CLOSE = VolumeConfig("00" * 8, [7000, 7003, 65534], 2)
SPREAD = msgspec.structs.replace(
    DRIVE,
    hosts={str(port): "alpha" for row in DRIVE.ports() for port in row},
    keeper="alpha",
    keeper_port=9003,
)  # fmt: skip


@pytest.mark.parametrize(
    ("config", "base", "count", "why"),
    [
        (DRIVE, 9001, 1, "its banks are 7000, 8000, 9000"),
        (SPREAD, 9000, 2, "can't grow to port 9003"),
        (DRIVE, 9000, 99, "100 is the most"),
        (CLOSE, 7000, 2, "can't grow to port 7003"),
        (CLOSE, 65534, 1, "can't grow to port 65536"),
    ],
)
def test_what_cannot_grow_is_refused_with_the_reason(
    config: VolumeConfig, base: int, count: int, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        new_ports(config, base, count)


def test_a_grown_volume_is_told_from_one_that_an_older_trivet_may_serve(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "state")
    folder.create(DRIVE)
    assert json.loads(folder.config_path.read_bytes())["format"] == FORMAT
    folder.store_config(DRIVE.grown(9000, 1))
    assert json.loads(folder.config_path.read_bytes())["format"] == GROWN_FORMAT != FORMAT
    assert folder.read_config().ports()[2] == [9000, 9001, 9002]
    assert folder.read_config().bank_of(9002) == 2


def test_over_hosts_a_server_belongs_to_the_host_it_was_added_on() -> None:
    grown = SPREAD.grown(9000, 1, "epsilon").grown(8000, 1, "alpha")
    assert (grown.host_of(9002), grown.host_of(8002), grown.host_of(9001)) == ("epsilon", "alpha", "alpha")
    assert (grown.size, SPREAD.size) == (8, 6)
    assert "epsilon" in grown.all_hosts()


async def test_a_host_takes_in_what_is_newer_and_nothing_else(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "state")
    folder.create(SPREAD)
    make_authority(folder, SPREAD.volume, datetime.datetime.now(datetime.UTC))
    children = ChildKeeper(folder, SPREAD, None, None, supervise=True, host="epsilon")
    describing = Describing(folder, children)
    grown = SPREAD.grown(9000, 1, "epsilon")
    await describing.take_in(grown)
    assert folder.read_config() == grown
    assert [server.port for server in children.servers] == [9002]
    await describing.take_in(SPREAD)
    await describing.take_in(msgspec.structs.replace(grown.grown(8000, 1, "epsilon"), volume="another"))
    assert folder.read_config() == grown
