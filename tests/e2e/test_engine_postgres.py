"""A whole volume on engines: the journal in a real PostgreSQL, the blobs in a folder as an object store.

Everything that was acknowledged must be there after the state folder is lost, after kills of any process, and
after another `trivet up` has taken the volume.
"""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from cut_relay import CutRelay
from real_postgres import RealPostgres
from volume_on_engines import MIB, SteadyWriter, VolumeOnEngines, assert_all_there, write_some

heavy = pytest.mark.skipif(not os.environ.get("TRIVET_ENGINES"), reason="`make test-engines` runs this")


@pytest.fixture
def volume(postgres: RealPostgres, tmp_path: Path) -> Iterator[VolumeOnEngines]:
    """A volume that is not up yet, in a schema of its own."""
    made = VolumeOnEngines(tmp_path, postgres, f"v{os.urandom(4).hex()}", tmp_path / "store")
    try:
        yield made
    finally:
        print(made.logs())
        made.close()


def test_what_was_acknowledged_outlives_every_process_and_the_state_folder(volume: VolumeOnEngines) -> None:
    volume.begin()
    written = write_some(volume.folder, "first")
    volume.kill(volume.keeper_pid())
    volume.kill(volume.server_pid(volume.bases[0]))
    volume.wait_healthy()
    assert_all_there(volume.folder, written)
    written |= write_some(volume.folder, "second")
    files = fsspec.filesystem("trivet", state=str(volume.state))
    written["by a client"] = os.urandom(2 * MIB + 5)
    files.pipe_file("/by a client", written["by a client"])
    volume.lose_state()
    volume.begin()
    assert_all_there(volume.folder, written)
    assert sorted(os.listdir(volume.folder)) == ["by a client", "first", "second"]
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


@heavy
def test_a_database_that_hangs_or_is_killed_in_the_middle_of_load_costs_nothing_acknowledged(
    volume: VolumeOnEngines,
) -> None:
    volume.begin()
    with SteadyWriter(volume.folder) as load:
        load.wait_for_more()
        with volume.postgres.hanging():
            volume.wait_status(lambda told: any("can't be used" in note for note in told["notes"]))
            while not load.refused:
                time.sleep(0.05)
        load.wait_for_more()
        volume.postgres.kill()
        volume.postgres.start()
        load.wait_for_more()
    print(f"{len(load.acknowledged)} acknowledged, {load.refused} refused, slowest {load.slowest_s:.1f} s")
    assert load.slowest_s < 15
    volume.wait_healthy()
    assert_all_there(volume.folder, load.acknowledged)
    volume.lose_state()
    volume.begin()
    assert_all_there(volume.folder, load.acknowledged)


@heavy
def test_the_journal_stays_short_however_much_is_written(volume: VolumeOnEngines) -> None:
    volume.begin()
    rows, most = f"SELECT coalesce(sum(length(entry)), 0)::bigint FROM {volume.schema}.journal", 0
    written = {}
    for number in range(1000):
        written[f"page-{number}"] = os.urandom(60_000)
        (volume.folder / f"page-{number}").write_bytes(written[f"page-{number}"])
        if number % 50 == 0:
            most = max(most, volume.postgres.number(rows))
    print(
        f"{sum(map(len, written.values())) / MIB:.0f} MiB written, the journal had {most / MIB:.0f} at most"
    )
    assert most < 40 * MIB
    assert volume.postgres.number(f"SELECT count(*) FROM {volume.schema}.records") > 0
    volume.lose_state()
    volume.begin()
    assert_all_there(volume.folder, written)
    volume.wait_healthy()


@heavy
def test_who_is_cut_off_from_the_database_stops_reading_before_another_writes(
    volume: VolumeOnEngines, tmp_path: Path
) -> None:
    with CutRelay().running(volume.postgres.port) as relay:
        other = VolumeOnEngines(tmp_path / "other", volume.postgres, volume.schema, volume.store)
        try:
            volume.reach_database_by(relay.port)
            volume.begin()
            (volume.folder / "state").write_bytes(b"before")
            with relay.cut():
                other.begin()
                assert (other.folder / "state").read_bytes() == b"before"
                (other.folder / "state").write_bytes(b"after")
                with pytest.raises(OSError, match="Input/output error"):
                    (volume.folder / "state").read_bytes()
                assert refused(volume, "late") == errno.EIO
            volume.wait_status(lambda told: any("took this volume over" in note for note in told["notes"]))
            assert (other.folder / "state").read_bytes() == b"after"
            assert sorted(os.listdir(other.folder)) == ["state"]
        finally:
            print(other.logs())
            other.close()
            volume.close()
