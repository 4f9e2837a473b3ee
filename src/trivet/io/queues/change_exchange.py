"""Every change of the drive as a message: published to the topic exchange `trivet.changes`, key = path.

Rule: the place in the history is kept when the broker has confirmed what came before; so after an outage
a change may come twice (same message_id), never not at all.
Rule: what lies in the drive's private folder is nobody's business.
"""

import asyncio
from pathlib import Path

import msgspec
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractConnection, AbstractExchange

from trivet.drive.names import shown
from trivet.drive.routing_keys import routing_key
from trivet.errors import ChangesExpired, FileSystemError, TrivetError
from trivet.io.queues.amqp_link import AmqpLink
from trivet.io.volume_folder import write_synced
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, Change, VersionedVolume

EXCHANGE = "trivet.changes"
#: Of so many files it is remembered where they were, for the message of their removal.
PATHS_MAX = 65_536
_STEP, _WAIT_S, _PUBLISH_S = 500, 20.0, 20.0
_DEPTH_MAX = 4096


class ChangeTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a message. `path` is None when it is not known any more; `size` is of files.

    `what` "expired": changes were forgotten before they were told; list everything anew.
    """

    volume: str
    slot: int
    what: str
    id: str = ""
    path: str | None = None
    size: int | None = None


class ChangeExchange:
    """Publishes the changes of `volume` to the broker at `url`; how far it is stands in the file `place`."""

    def __init__(self, url: str, volume: VersionedVolume, name: str, place: Path) -> None:
        self._volume = volume
        self._name = name
        self._place = place
        self._link = AmqpLink(url, self._serve)
        self._paths: dict[int, str] = {}

    @property
    def trouble(self) -> str:
        """Why nothing is published now, "" if all is well."""
        return self._link.trouble

    async def run(self) -> None:
        """Publish until cancelled; what can't be told now is told later."""
        if not self._place.exists():
            await self._keep(await self._volume.newest_slot())
        await self._link.run()

    async def _serve(self, connection: AbstractConnection) -> None:
        channel = connection.channel(publisher_confirms=True)
        await channel.initialize()
        exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
        try:
            while True:
                await self._step(exchange)
        except TrivetError as error:
            raise ConnectionError(f"the drive does not tell its changes now: {error}") from error

    async def _step(self, exchange: AbstractExchange) -> None:
        slot = int(await asyncio.to_thread(self._place.read_text))
        if not await self._volume.wait_changed(slot, _WAIT_S):
            return
        try:
            found, next_slot = await self._volume.changes(slot, _STEP)
        except ChangesExpired:
            found, next_slot = [], await self._volume.newest_slot()
            await self._publish(exchange, ChangeTold(self._name, next_slot, "expired"), "expired")
        told = [one for change in found if (one := await self._told(change)) is not None]
        # Together, so that their confirmations take one round trip, not one each.
        keys = [routing_key(one.path) if one.path else one.what for one in told]
        await asyncio.gather(
            *(self._publish(exchange, one, key) for one, key in zip(told, keys, strict=True))
        )
        await self._keep(next_slot)

    async def _told(self, change: Change) -> ChangeTold | None:
        """Return what is said of a change, None if it is private."""
        ino = change.ino
        if change.removed:
            path = self._paths.pop(ino, None)
            return None if path == "" else ChangeTold(self._name, change.slot, "removed", str(ino), path)
        try:
            attributes = await self._volume.getattr(ino)
            path = await self._path_of(ino)
        except FileSystemError:
            return None  # it is gone meanwhile, and that is told as a change of its own
        self._paths.pop(ino, None)
        self._paths[ino] = path or ""
        if len(self._paths) > PATHS_MAX:
            self._paths.pop(next(iter(self._paths)))
        if path is None:
            return None
        return ChangeTold(self._name, change.slot, "changed", str(ino), path, attributes.size)

    async def _path_of(self, ino: int) -> str | None:
        """Return where an inode is, by its oldest name; None in the private folder."""
        names: list[str] = []
        for _ in range(_DEPTH_MAX):
            if ino == ROOT_INO:
                return "/" + "/".join(reversed(names))
            found = await self._volume.names_of(ino) if ino != PRIVATE_INO else ()
            if not found:
                return None
            ino, name = found[0]
            names.append(shown(name))
        return None

    async def _publish(self, exchange: AbstractExchange, told: ChangeTold, key: str) -> None:
        message = Message(
            msgspec.json.encode(told), content_type="application/json", app_id="trivet",
            message_id=f"{told.slot}-{told.id}", type=told.what, delivery_mode=DeliveryMode.PERSISTENT,
        )  # fmt: skip
        await exchange.publish(message, key, mandatory=False, timeout=_PUBLISH_S)

    async def _keep(self, slot: int) -> None:
        self._place.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(write_synced, self._place, f"{slot}\n".encode())
