"""/api/v1/events: a WebSocket that tells what happens, from a sequence number on.

Rule: an event of the drive carries the volume's slot as `seq`; who comes back with it misses nothing.
Rule: a client that does not read is not waited for beyond a deadline; nothing is queued for it here.
"""

import asyncio
import time
from typing import Any

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from trivet.drive.rights import Principal
from trivet.errors import ChangesExpired, TrivetError
from trivet.gateway.drive_v3.changes import seen
from trivet.gateway.files import downloads, transfers
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.transfers import Transfer
from trivet.gateway.native.shapes import file_of, transfer_told
from trivet.gateway.sessions import accepted
from trivet.gateway.vendor_news import Listener

STEP = 100
TICK_S = 1.0
SEND_S = 30.0


async def events(socket: WebSocket) -> None:
    """Tell changes, transfers and news of vendors until the client goes away, from the seq `after` on."""
    who = await accepted(socket)
    if who is None:
        return
    drive: Drive = socket.app.state.drive
    after = socket.query_params.get("after")
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) < 19):
        await socket.close(4400, "after is a sequence number")
        return
    seq = int(after) if after is not None else await drive.volume.newest_slot()
    listening = asyncio.create_task(_listen(socket))
    telling = asyncio.create_task(_tell(socket, drive, who, seq))
    try:
        await asyncio.wait({listening, telling}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (listening, telling):
            task.cancel()
        await asyncio.wait({listening, telling})
    ended = None if telling.cancelled() else telling.exception()
    if isinstance(ended, TrivetError):
        await _say_goodbye(socket, ended)


async def _say_goodbye(socket: WebSocket, error: TrivetError) -> None:
    if socket.client_state is WebSocketState.CONNECTED:
        await socket.close(4410 if isinstance(error, ChangesExpired) else 1013, str(error)[:120])


async def _listen(socket: WebSocket) -> None:
    """Wait until the client goes away; what it says is not listened to."""
    try:
        while True:
            await socket.receive_bytes()
    except (WebSocketDisconnect, KeyError):
        return


async def _tell(socket: WebSocket, drive: Drive, who: Principal, seq: int) -> None:
    since, news = time.time(), Listener(drive.news, who.user)
    await _send(socket, {"type": "hello", "seq": seq})
    while True:
        found, next_seq = await drive.volume.changes(seq, STEP)
        for change in found:
            view = await seen(drive, change, who)
            if view is not None:
                await _send(socket, {"type": "changed", "seq": change.slot, "file": file_of(view)})
            elif change.removed:
                await _send(socket, {"type": "removed", "seq": change.slot, "id": str(change.ino)})
        seq = next_seq
        moved: list[Transfer | LiveDownload] = [*await transfers.touched_since(drive, who.user, since, STEP)]
        moved += await downloads.touched_since(drive, who.user, since, STEP)
        for one in sorted(moved, key=lambda one: one.touched_at)[:STEP]:
            since = one.touched_at
            await _send(socket, {"type": "transfer", "seq": seq, "transfer": transfer_told(one)})
        for event in await news.events():
            await _send(socket, {**event, "seq": seq})
        if not found:
            await drive.feed.wait_behind(seq, TICK_S)


async def _send(socket: WebSocket, told: dict[str, Any]) -> None:
    async with asyncio.timeout(SEND_S):
        await socket.send_text(msgspec.json.encode(told).decode())


ROUTES = [WebSocketRoute("/api/v1/events", events)]
