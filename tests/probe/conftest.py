"""Servers that several tests of this folder share: started when first asked for, ended with the run."""

from collections.abc import Iterator

import pytest

from message_servers import RabbitServer, RedisServer, Server, running


@pytest.fixture(scope="session")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A RabbitMQ of our own."""
    with running(RabbitServer(tmp_path_factory.mktemp("servers") / "rabbit")) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Redis of our own."""
    with running(RedisServer(tmp_path_factory.mktemp("servers") / "redis")) as server:
        yield server
