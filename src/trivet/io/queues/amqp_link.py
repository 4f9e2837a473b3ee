"""A connection to RabbitMQ that is made again whenever it breaks, and what is said about a wrong one.

Rule: no address is told with its password.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractConnection
from yarl import URL

from trivet.errors import ConfigError

CONNECT_S = 5.0
_AGAIN_S, _AGAIN_MAX_S = 0.5, 10.0
#: Whatever goes wrong between us and the broker.
TROUBLE = (*aio_pika.exceptions.CONNECTION_EXCEPTIONS, TimeoutError)

log = logging.getLogger(__name__)
logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it logs is told here, without passwords
logging.getLogger("aio_pika").setLevel(logging.CRITICAL)


def shown_url(url: str) -> str:
    """Return an address as people may see it."""
    return str(URL(url).with_password(None))


async def connect(url: str) -> AbstractConnection:
    """Return a connection; raises one of TROUBLE."""
    async with asyncio.timeout(CONNECT_S):
        return await aio_pika.connect(url, client_properties={"connection_name": "trivet"})


async def check_amqp(url: str) -> None:
    """Raise ConfigError, which says what to do, unless RabbitMQ answers at `url` and lets us in."""
    try:
        parts = URL(url)
        port = parts.port  # a port that is no number is found only here
    except ValueError as error:
        raise ConfigError(f"--amqp: no address ({error}); try amqp://USER:PASSWORD@HOST:5672/") from None
    if parts.scheme not in {"amqp", "amqps"} or not parts.host or port == 0:
        raise ConfigError("--amqp: an address such as amqp://USER:PASSWORD@HOST:5672/")
    try:
        connection = await connect(url)
    except (aio_pika.exceptions.AuthenticationError, aio_pika.exceptions.ProbableAuthenticationError):
        raise ConfigError(
            f"--amqp {shown_url(url)}: RabbitMQ refuses this user or password; give the right ones"
        ) from None
    except TROUBLE as error:
        raise ConfigError(
            f"--amqp {shown_url(url)}: RabbitMQ can't be used there ({what(error)}); start it, correct the "
            "address, or leave --amqp away: the drive then keeps its queue itself"
        ) from None
    await connection.close()


def what(error: BaseException) -> str:
    """Return an error in a few words."""
    return str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)


class AmqpLink:
    """Keeps `serve` running on a connection to `url`; `trouble` says why there is none."""

    def __init__(self, url: str, serve: Callable[[AbstractConnection], Awaitable[None]]) -> None:
        self._url = url
        self._serve = serve
        self.trouble = "RabbitMQ has not answered yet"

    async def run(self) -> None:
        """Connect, serve, and do it again, until cancelled."""
        pause_s = _AGAIN_S
        while True:
            try:
                connection = await connect(self._url)
            except TROUBLE as error:
                self._note(f"RabbitMQ at {shown_url(self._url)} does not answer: {what(error)}")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_MAX_S)
                continue
            try:
                pause_s = _AGAIN_S
                await self._until_closed(connection)
            except TROUBLE as error:
                self._note(f"the connection to RabbitMQ broke: {what(error)}")
                await asyncio.sleep(pause_s)
            finally:
                with suppress(*TROUBLE):
                    await connection.close()

    def _note(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble

    async def _until_closed(self, connection: AbstractConnection) -> None:
        closed = asyncio.ensure_future(connection.closed())
        serving = asyncio.ensure_future(self._serve(connection))
        try:
            self.trouble = ""
            await asyncio.wait({closed, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            raise ConnectionError("it was closed")
        finally:
            for task in (closed, serving):
                task.cancel()
            await asyncio.wait({closed, serving})
