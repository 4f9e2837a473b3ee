"""The queue in RabbitMQ: durable, confirmed, acknowledged by hand, one active consumer, dead letters.

Rule: a request is in the own file until it is done; so a broker that is away, or comes back with less than it
had, loses none: what it does not have is sent again.
Rule: what comes twice while it is in hand is acknowledged, or taken for the first once that is gone.
"""

import asyncio
from contextlib import suppress

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from trivet.io.queues.amqp_link import TROUBLE, AmqpLink
from trivet.io.queues.request_queue import Request, Tell, decode_request
from trivet.io.upstream_store import UpstreamStore

#: So many may be taken and not done: the budget looks this far ahead for users who have bytes left.
PREFETCH = 1000
_PUBLISH_S = 20.0
_SEND_AT_ONCE = 200
_LOOK_S = 15.0


class AmqpQueue:
    """The queue `name` of the broker at `url`; `store` has `make_tables`. `open` it in a running loop."""

    kind = "rabbitmq"

    def __init__(self, url: str, name: str, store: UpstreamStore, tell: Tell) -> None:
        self.name = name
        self._store = store
        self._tell = tell
        self._link = AmqpLink(url, self._serve)
        self._running: asyncio.Task[None] | None = None
        self._pushed = asyncio.Event()
        self._ready: asyncio.Queue[Request] = asyncio.Queue()  # bounded by PREFETCH
        #: The message of each request that was taken, with the number of the connection it came on.
        self._in_hand: dict[str, tuple[int, AbstractIncomingMessage]] = {}
        self._connection = 0
        self._done: set[str] = set()
        self._taking = asyncio.Event()

    @property
    def trouble(self) -> str:
        """See RequestQueue."""
        return self._link.trouble

    def open(self) -> None:
        """Begin to connect."""
        self._running = asyncio.create_task(self._link.run())

    async def push(self, request: Request) -> None:
        """See RequestQueue."""
        await self._store.write(
            "INSERT INTO requests (key, body) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
            *(request.key, request.encoded()),
        )
        self._done.discard(request.key)
        self._pushed.set()

    async def take(self) -> Request:
        """See RequestQueue."""
        self._taking.set()
        return await self._ready.get()

    async def done(self, key: str) -> None:
        """See RequestQueue; while the broker is away it is remembered, and acknowledged when it comes."""
        await self._store.write("DELETE FROM requests WHERE key = ?", key)
        connection, message = self._in_hand.pop(key, (0, None))
        if message is None:
            return
        if connection != self._connection or self.trouble:
            self._done.add(key)
            return
        try:
            await message.ack()
        except TROUBLE:
            self._done.add(key)

    async def refuse(self, key: str, why: str) -> None:
        """See RequestQueue; dead letters are in the queue NAME.dead."""
        await self._store.write("DELETE FROM requests WHERE key = ?", key)
        _, message = self._in_hand.pop(key, (0, None))
        if message is not None:
            await self._put_aside(message, why)

    async def close(self) -> None:
        """See RequestQueue."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})

    async def _serve(self, connection: AbstractConnection) -> None:
        """Send what is to be sent and receive what is there, as long as the connection holds."""
        self._connection += 1
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        await channel.set_qos(prefetch_count=PREFETCH)
        await channel.declare_queue(f"{self.name}.dead", durable=True)
        queue = await self._declared(channel)
        held = queue.declaration_result.message_count or 0
        (sent,) = await self._store.row("SELECT count(*) FROM requests WHERE sent = 1") or (0,)
        if held < sent:
            await self._store.write("UPDATE requests SET sent = 0")
        works = self._receive(queue), self._send_all(channel), self._look(channel)
        tasks = [asyncio.create_task(one) for one in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _declared(self, channel: AbstractChannel) -> AbstractQueue:
        return await channel.declare_queue(
            self.name, durable=True,
            arguments={
                "x-single-active-consumer": True,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": f"{self.name}.dead",
            },
        )  # fmt: skip

    async def _send_all(self, channel: AbstractChannel) -> None:
        while True:
            self._pushed.clear()
            await self._send(channel)
            await self._pushed.wait()

    async def _send(self, channel: AbstractChannel) -> None:
        while rows := await self._store.rows(
            "SELECT seq, key, body FROM requests WHERE sent = 0 ORDER BY seq LIMIT ?", _SEND_AT_ONCE
        ):
            for seq, key, body in rows:
                message = Message(
                    body, content_type="application/json", message_id=key, app_id="trivet",
                    delivery_mode=DeliveryMode.PERSISTENT,
                )  # fmt: skip
                await channel.default_exchange.publish(message, self.name, timeout=_PUBLISH_S)
                await self._store.write("UPDATE requests SET sent = 1 WHERE seq = ?", seq)

    async def _receive(self, queue: AbstractQueue) -> None:
        """Receive once somebody takes: who only pushes is no worker."""
        await self._taking.wait()
        await queue.consume(self._arrived)

    async def _look(self, channel: AbstractChannel) -> None:
        """Fail when the broker has closed the channel, or somebody has deleted the queue: begin anew then."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await channel.declare_queue(self.name, passive=True, timeout=_LOOK_S)

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        try:
            request = decode_request(message.body)
        except ValueError as error:
            await self._put_aside(message, f"it can't be read: {error}")
            return
        key = request.key
        before, _ = self._in_hand.get(key, (None, None))
        with suppress(*TROUBLE):
            if key in self._done:
                self._done.discard(key)
                await message.ack()
            elif before == self._connection:
                await message.ack()
            else:
                self._in_hand[key] = (self._connection, message)
                if before is None:
                    self._ready.put_nowait(request)

    async def _put_aside(self, message: AbstractIncomingMessage, why: str) -> None:
        with suppress(*TROUBLE):  # it comes again, and is put aside then
            await message.reject(requeue=False)
        await self._tell(f"a request in the queue was put aside: {why}")
