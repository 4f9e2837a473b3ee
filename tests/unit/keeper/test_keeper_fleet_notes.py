"""What the keeper says of servers it can't believe, or soon can't."""

from pathlib import Path
from typing import Any

from trivet.io.clock import wall_s
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.keeper.bank_links import DAY_S, Fleet


def test_distrust_and_certificates_that_end_soon_are_told(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path / "state")
    folder.create(VolumeConfig("00" * 8, [7000, 8000, 9000], 1))
    nobody: Any = None
    fleet = Fleet(folder, nobody)
    assert fleet.notes() == []
    fleet.server_at(7000).certificate_ends_s = wall_s() + 400 * DAY_S
    fleet.server_at(8000).certificate_ends_s = wall_s() + 7.2 * DAY_S
    fleet.server_at(9000).distrust = "what answers at gamma:9000 is another host"
    distrust, ending = fleet.notes()
    assert distrust == "what answers at gamma:9000 is another host"
    assert ending.startswith(
        "the certificate of server 8000's host expires in 7 days: `trivet volume certify`"
    )
