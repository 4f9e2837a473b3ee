"""The state folder: whose it is."""

import os
import stat
from pathlib import Path

import pytest

from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeConfig, VolumeFolder


def test_a_new_state_folder_is_its_makers_alone(tmp_path: Path) -> None:
    """Records hold names and small bodies: whoever could read the folder could read files."""
    before = os.umask(0o022)
    try:
        VolumeFolder(tmp_path / "above" / "state").create(VolumeConfig("00" * 8, [7000, 8000, 9000], 1))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "above" / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o755


def test_a_description_that_the_disk_does_not_take_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = VolumeFolder(tmp_path)
    folder.config_path.mkdir()
    with pytest.raises(ConfigError, match=r"volume\.json can't be written: Is a directory"):
        folder.store_config(VolumeConfig("00" * 8, [7000, 8000, 9000], 1))
