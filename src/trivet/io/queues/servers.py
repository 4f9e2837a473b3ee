"""Which servers the queue and the parking of a drive are on: none, RabbitMQ (`--amqp`), Redis (`--redis`).

Rule: the libraries of servers that are not used are not loaded.
Rule: addresses hold passwords: they travel to child processes in the environment, never as arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trivet.io.queues.embedded import EmbeddedParking, EmbeddedQueue, make_tables
from trivet.io.queues.request_queue import Parking, RequestQueue, Tell
from trivet.io.upstream_store import UpstreamStore

AMQP_VARIABLE, REDIS_VARIABLE = "TRIVET_AMQP", "TRIVET_REDIS"


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of RabbitMQ and Redis, None: the drive does it itself; names there begin with `prefix`."""

    amqp: str | None = None
    redis: str | None = None
    prefix: str = "trivet"

    async def check(self) -> None:
        """Raise ConfigError, which says what to do, unless those that are named answer and let us in."""
        if self.amqp is not None:
            from trivet.io.queues.amqp_link import check_amqp

            await check_amqp(self.amqp)
        if self.redis is not None:
            from trivet.io.queues.redis_parking import check_redis

            await check_redis(self.redis)

    async def queue(self, name: str, store: UpstreamStore, lock_path: Path, tell: Tell) -> RequestQueue:
        """Return the queue `name`, at work; `lock_path` is where workers of one without server take turns."""
        await make_tables(store)
        if self.amqp is None:
            return EmbeddedQueue(store, lock_path, tell)
        from trivet.io.queues.amqp_queue import AmqpQueue

        queue = AmqpQueue(self.amqp, name, store, tell)
        queue.open()
        return queue

    async def parking(
        self, name: str, store: UpstreamStore, now_s: Callable[[], float], tell: Tell
    ) -> Parking:
        """Return the parking `name`, at work; `now_s` is Unix time."""
        await make_tables(store)
        if self.redis is None:
            return EmbeddedParking(store, now_s)
        from trivet.io.queues.redis_parking import RedisParking

        parking = RedisParking(self.redis, f"{name}:", store, now_s, tell)
        parking.open()
        return parking
