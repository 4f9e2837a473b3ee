"""What `trivet up --journal ...` refuses, and how it says so: before anything is started or changed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from drive_under_test import Drive
from real_postgres import RealPostgres
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.volume_setup import make_volume
from volume_on_engines import VolumeOnEngines


@pytest.fixture
def volume(postgres: RealPostgres, tmp_path: Path) -> Iterator[VolumeOnEngines]:
    """A volume that is not up yet, in a schema of its own."""
    made = VolumeOnEngines(tmp_path / "engines", postgres, f"v{os.urandom(4).hex()}", tmp_path / "store")
    yield made
    made.close()


def refusal(drive: Drive, *options: str) -> str:
    """Return what `up` says, which must refuse, in one line and without a traceback."""
    done = drive.trivet("up", "--no-mount", "--no-gateway", *options, expect=2)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_urls_that_can_not_be_used_are_refused_with_what_to_do(volume: VolumeOnEngines) -> None:
    port, store = volume.postgres.port, volume.options[3]
    wrong = {
        "postgresql://trivet:geheim@127.0.0.1/drives": "PGPASSWORD",
        "postgresql://trivet@127.0.0.1/drives?password=geheim": "PGPASSWORD",
        "mysql://trivet@127.0.0.1/drives": "write postgresql://",
        f"postgresql://trivet@127.0.0.1:{port}": "name the database",
        f"postgresql://trivet@127.0.0.1:{port}/drives?schema=a-b": "lower-case letters",
        f"postgresql://trivet@127.0.0.1:{port}/nowhere": 'database "nowhere" does not exist',
        f"postgresql://nobody@127.0.0.1:{port}/drives": 'role "nobody" does not exist',
        "postgresql://trivet@127.0.0.1:1/drives": "can't be used",
    }
    for url, said in wrong.items():
        told = refusal(volume, "--journal", url, "--blobs", store)
        assert said in told
        assert "geheim" not in told
    assert "needs --blobs URL" in refusal(volume, *volume.options[:2])
    assert not volume.state.exists()


def test_a_user_without_rights_is_told_so(volume: VolumeOnEngines) -> None:
    with volume.postgres.asked("admin", "drives") as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
    url = f"postgresql://guest@127.0.0.1:{volume.postgres.port}/drives?schema={volume.schema}"
    assert "permission denied" in refusal(volume, "--journal", url, *volume.options[2:])


def test_tables_of_another_volume_or_another_version_are_left_alone(
    volume: VolumeOnEngines, tmp_path: Path
) -> None:
    volume.begin("--no-mount")
    volume.trivet("down")
    stranger = VolumeOnEngines(tmp_path / "stranger", volume.postgres, f"{volume.schema}x", tmp_path / "else")
    stranger.begin("--no-mount")
    stranger.trivet("down")
    assert "holds volume" in refusal(stranger, *volume.options[:2])
    with volume.postgres.asked() as connection:
        connection.execute(f"UPDATE {volume.schema}.volume SET format = 99")
    assert "format 99" in refusal(volume)
    fresh = VolumeOnEngines(tmp_path / "fresh", volume.postgres, volume.schema, tmp_path / "store")
    assert "format 99" in refusal(fresh, *fresh.options)


def test_what_goes_with_banks_on_disks_does_not_go_with_a_database(
    volume: VolumeOnEngines, new_drive: Drive
) -> None:
    make_volume(VolumeFolder(new_drive.state), new_drive.bases, 1, "default")
    assert "banks on disks" in refusal(new_drive, *volume.options)
    assert "--standby" in refusal(volume, *volume.options, "--standby")
    assert "one server" in refusal(volume, "--servers", "2")
    other = ["--blobs", "file:///somewhere/else"]
    assert "the blobs of this volume are in" in refusal(volume, *other)
    assert "without a bank's port" in refusal(volume, "--blobs", "7000=file:///somewhere")
