"""What holds for every test: the order of files, and no time limit for one hypothesis example."""

from pathlib import Path

import pytest
from hypothesis import settings

# Machines are shared: a slow example is no failure.
settings.register_profile("trivet", deadline=None)
settings.load_profile("trivet")

#: Rooms whose tests run real processes: their files take longest.
REAL = {Path(__file__).parent / room for room in ("e2e", "probe")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, in an order left to chance, so that none ends minutes late."""
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(key=lambda item: (item.path not in long, REAL.isdisjoint(item.path.parents)))
