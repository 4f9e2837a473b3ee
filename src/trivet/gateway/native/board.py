"""/api/v1/board: a WebSocket that shows how the drive is, frame by frame, to who asks for the next one.

Rule: a frame is sent for each word of the client, never before: a page that sleeps gets nothing, and when it
wakes up it gets one frame, the newest.
Rule: administrators get all of it, others (and their tokens for less than all) the short form.
Rule: the first frame comes from the keeper at once; the process that counts is started meanwhile.
Rule: a socket lives some minutes, then the page opens another: who was logged out meanwhile sees no more.
"""

import asyncio
import contextlib
import time

import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from trivet.drive.rights import Principal
from trivet.errors import TrivetError
from trivet.gateway.board_feed import BoardFeed
from trivet.gateway.files.drive import Drive
from trivet.gateway.sessions import accepted
from trivet.insight.board.verdict import bank_told, judge, stopped_ports
from trivet.io.control_socket import ask
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.board_frames import ShortFrame
from trivet.wire.control_messages import Children, Status

LIFE_S = 300.0
SEND_S = 30.0
SILENCE_S = 3.0
#: Who asks for nothing for so long does not look: nothing is counted for them.
LOOKS_S = 20.0
LIFE_OVER = 4408


async def board(socket: WebSocket) -> None:
    """Show frames until the client goes away or its time is over."""
    who = await accepted(socket)
    if who is None:
        return
    drive: Drive = socket.app.state.drive
    feed: BoardFeed = socket.app.state.board
    try:
        async with asyncio.timeout(LIFE_S):
            await _first(socket, drive)
            await _show(socket, feed, who)
    except TimeoutError:
        await socket.close(LIFE_OVER, "open another one")
    except WebSocketDisconnect:
        return


async def _first(socket: WebSocket, drive: Drive) -> None:
    folder = VolumeFolder(drive.folder.parent)
    status, children, problem = None, None, ""
    with contextlib.suppress(TrivetError):
        told = await ask(folder.supervisor_socket, "children", silence_s=SILENCE_S)
        children = msgspec.convert(told, Children)
    try:
        status = msgspec.convert(await ask_keeper(folder, "status", silence_s=SILENCE_S), Status)
    except TrivetError as error:
        problem = str(error)
    stopped = stopped_ports(children)
    banks = [bank_told(bank, stopped) for bank in status.banks] if status else []
    age_s = status.refresh_age_s if status else None
    verdict = judge(status, problem, children)
    await _send(socket, msgspec.json.encode(ShortFrame(time.time(), verdict, banks, age_s)))


async def _show(socket: WebSocket, feed: BoardFeed, who: Principal) -> None:
    """Send the newest frame for each word; who is silent for long is not counted for until they speak."""
    number = 0
    while True:
        await _word(socket)
        async with feed.looking():
            while True:
                number, frame = await feed.newest(number)
                await _send(socket, bytes(frame.full if who.sees_all else frame.short))
                try:
                    async with asyncio.timeout(LOOKS_S):
                        await _word(socket)
                except TimeoutError:
                    break


async def _word(socket: WebSocket) -> None:
    """Wait until the client wants a frame; what it says does not matter."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect


async def _send(socket: WebSocket, frame: bytes) -> None:
    try:
        async with asyncio.timeout(SEND_S):
            await socket.send_text(frame.decode())
    except TimeoutError:
        raise WebSocketDisconnect from None


ROUTES = [WebSocketRoute("/api/v1/board", board)]
