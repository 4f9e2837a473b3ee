"""A whole volume on engines: the journal in a real PostgreSQL, the blobs in a folder as an object store.

Everything that was acknowledged must be there after the state folder is lost, after kills of any process, and
after another `trivet up` has taken the volume.
"""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drive_under_test import Drive
from real_postgres import RealPostgres, running_postgres

MIB = 1 << 20


class VolumeOnEngines(Drive):
    """A drive whose journal is in `server` (a schema of the test's own) and whose blobs are below `store`."""

    def __init__(self, place: Path, server: RealPostgres, schema: str, store: Path) -> None:
        super().__init__(place, servers=1)
        self.bases = self.bases[:1]
        self.postgres, self.schema, self.store = server, schema, store
        self.options = [
            "--journal",
            f"{server.url}?schema={schema}",
            "--blobs",
            f"file://{store}?cache_bytes=0",
        ]

    def begin(self, *options: str, expect: int | None = 0) -> str:
        """Bring it up with the options that make or join the volume; return what was said."""
        done = self.up(*self.options, *options, expect=expect)
        return done.stdout + done.stderr

    def lose_state(self) -> None:
        """Kill every process at once and remove the state folder, as when the machine is gone."""
        for process in self.processes():
            process.kill()
        self.free_folder()
        shutil.rmtree(self.state)


@pytest.fixture(scope="module")
def postgres() -> Iterator[RealPostgres]:
    """A real PostgreSQL with the database `drives`."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def volume(
    postgres: RealPostgres, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[VolumeOnEngines]:
    """A volume that is not up yet, in a schema of its own."""
    schema = f"v{abs(hash(request.node.name)) % 10**9}"
    made = VolumeOnEngines(tmp_path, postgres, schema, tmp_path / "store")
    try:
        yield made
    except BaseException:
        print(made.logs())
        raise
    finally:
        print(made.logs())
        made.close()


def write_some(folder: Path, name: str) -> dict[str, bytes]:
    """Write small and large files, synced; return what is in them by their path."""
    written = {
        f"{name}/small": os.urandom(3000),
        f"{name}/large": os.urandom(3 * MIB + 17),
        f"{name}/none": b"",
    }
    (folder / name).mkdir()
    for path, content in written.items():
        with (folder / path).open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
    return written


def assert_all_there(folder: Path, written: dict[str, bytes]) -> None:
    """Assert that every file holds what was written."""
    assert {path: (folder / path).read_bytes() for path in written} == written


def test_what_was_acknowledged_outlives_every_process_and_the_state_folder(volume: VolumeOnEngines) -> None:
    volume.begin()
    written = write_some(volume.folder, "first")
    volume.kill(volume.keeper_pid())
    volume.kill(volume.server_pid(volume.bases[0]))
    volume.wait_healthy()
    assert_all_there(volume.folder, written)
    written |= write_some(volume.folder, "second")
    volume.lose_state()
    volume.begin()
    assert_all_there(volume.folder, written)
    assert sorted(os.listdir(volume.folder)) == ["first", "second"]
    volume.trivet("down")
    volume.up()
    assert_all_there(volume.folder, written)


def refused(volume: VolumeOnEngines, path: str) -> int:
    """Return the errno with which a write to `path` is refused, 0 if it is not."""
    try:
        with (volume.folder / path).open("wb") as file:
            file.write(b"late")
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno or 0
    return 0


def test_who_takes_the_volume_over_has_it_and_the_other_ends_its_reign(
    volume: VolumeOnEngines, tmp_path: Path
) -> None:
    volume.begin()
    written = write_some(volume.folder, "first")
    other = VolumeOnEngines(tmp_path / "other", volume.postgres, volume.schema, volume.store)
    try:
        other.begin()
        assert_all_there(other.folder, written)
        written |= write_some(other.folder, "by the other")
        told = volume.wait_status(lambda told: any("took this volume over" in note for note in told["notes"]))
        assert told["healthy"] is False
        assert refused(volume, "first/late") in (errno.EIO, errno.ENOTCONN, errno.ENOENT, errno.EPERM)
        pids = {process.pid for process in volume.processes()}
        time.sleep(5)  # nothing is to happen meanwhile
        assert {process.pid for process in volume.processes()} == pids
        assert_all_there(other.folder, written)
        assert other.status()["healthy"] is True
        volume.trivet("down")
        volume.up()
        assert_all_there(volume.folder, written)
        written |= write_some(volume.folder, "taken back")
        other.wait_status(lambda told: any("took this volume over" in note for note in told["notes"]))
    finally:
        print(other.logs())
        other.close()
    assert_all_there(volume.folder, written)
