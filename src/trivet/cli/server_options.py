"""`--amqp` and `--redis`: servers of messages that a drive may use, checked before anything starts."""

import asyncio
import os
from typing import Annotated

from cyclopts import Parameter

from trivet.io.queues.servers import AMQP_VARIABLE, REDIS_VARIABLE, Servers

Amqp = Annotated[
    str | None,
    Parameter(
        env_var=AMQP_VARIABLE,
        help="RabbitMQ for the upstreams' queue and all changes: amqp://USER:PASSWORD@HOST:5672/.",
    ),
]
Redis = Annotated[
    str | None,
    Parameter(env_var=REDIS_VARIABLE, help="Redis for what is parked: redis://:PASSWORD@HOST:6379/0."),
]


def checked_servers(amqp: str | None, redis: str | None) -> Servers:
    """Return the servers, which answer; ConfigError when they don't. Child processes find them, too."""
    servers = Servers(amqp, redis)
    asyncio.run(servers.check())
    for variable, url in ((AMQP_VARIABLE, amqp), (REDIS_VARIABLE, redis)):
        if url is not None:
            os.environ[variable] = url
    return servers
