"""Fixtures of the end-to-end tests: a drive that is up, one a test or one a module."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from door_under_test import Door, open_door
from drive_under_test import Drive, running_drive
from real_postgres import RealPostgres, running_postgres


@pytest.fixture
def drive(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Drive]:
    """A drive with two servers a bank (or as many as the test's `servers` parameter says), for one test."""
    with running_drive(tmp_path, getattr(request, "param", 2)) as running:
        yield running
        if failed(request):
            print(running.logs())


@pytest.fixture(scope="module")
def shared_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A drive for all tests of a module that leave it whole behind them."""
    with running_drive(tmp_path_factory.mktemp("shared")) as running:
        yield running
        print(running.logs())


@pytest.fixture(scope="session")
def lone_drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A drive of one server a bank, for all tests that stay in folders of their own."""
    with running_drive(tmp_path_factory.mktemp("lone"), 1) as running:
        yield running
        print(running.logs())


@pytest.fixture
def folder(lone_drive: Drive, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own in the lone drive."""
    made = lone_drive.folder / request.node.name
    made.mkdir()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def postgres() -> Iterator[RealPostgres]:
    """A real PostgreSQL with the database `drives`."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def new_drive(tmp_path: Path) -> Iterator[Drive]:
    """A drive that is not up yet; it is ended whatever the test did."""
    made = Drive(tmp_path, servers=1)
    try:
        yield made
    finally:
        made.close()


REPORTS = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember whether the test itself failed, so that its drive's logs are shown."""
    report = yield
    if report.when == "call":
        item.stash[REPORTS] = report.failed
    return report


def failed(request: pytest.FixtureRequest) -> bool:
    """Tell whether the test that asked for the fixture has failed."""
    return request.node.stash.get(REPORTS, False)


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """The HTTP door of one drive, for all tests that leave it as they found it or in folders of their own."""
    with open_door(tmp_path_factory.mktemp("door")) as opened:
        yield opened
