"""A drive with one bank's blobs on a real S3 server: lived in, cut off from it, and nothing secret told.

They run by `make test-engines`, which installs the server.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from blobs_in_store import MIB, Store, assert_tidy, live_in, until
from drive_under_test import Drive
from real_s3 import RealS3, running_s3, skip_without_swift


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealS3]:
    """A real S3 server with the bucket `drives`."""
    if not os.environ.get("TRIVET_ENGINES"):
        pytest.skip("`make test-engines` runs this")
    skip_without_swift()
    with running_s3(tmp_path_factory.mktemp("swift")) as server:
        server.make_bucket("drives")
        yield server


@pytest.fixture
def store(s3: RealS3, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A prefix of the test's own, whose secrets are in the environment of every process."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    options = f"endpoint={s3.endpoint}&pack_s=0&cache_bytes=0"
    return Store(f"s3://drives/{request.node.name}?{options}", s3.environment)


def test_a_bank_on_s3_lives_through_damage_kills_and_restarts(
    new_drive: Drive, store: Store, s3: RealS3, tmp_path: Path
) -> None:
    live_in(new_drive, store)
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"]
    assert not any(secret in " ".join(process.cmdline()) for process in new_drive.processes())
    assert_tidy(new_drive.state, {"key": s3.environment["AWS_ACCESS_KEY_ID"]})


def test_a_store_that_hangs_costs_nobody_anything_and_its_bank_is_told_to_be_degraded(
    new_drive: Drive, store: Store, s3: RealS3
) -> None:
    base = new_drive.bases[2]
    new_drive.up("--blobs", f"{base}={store.url}")
    written = {"before": os.urandom(3 * MIB)}
    (new_drive.folder / "before").write_bytes(written["before"])
    until(lambda: bool(store.bodies()))
    new_drive.wait_healthy()
    with s3.hanging():
        for number in range(4):
            name = f"meanwhile-{number}"
            written[name] = os.urandom(MIB)
            (new_drive.folder / name).write_bytes(written[name])
        new_drive.wait_status(lambda told: any("object store" in note for note in told["notes"]), 150)
        assert new_drive.server(base)["state"] == "up"
        assert {path.name: path.read_bytes() for path in new_drive.folder.iterdir()} == written
    new_drive.wait_healthy(120)
    assert {path.name: path.read_bytes() for path in new_drive.folder.iterdir()} == written
    new_drive.trivet("verify", "--deep")
