"""Teardown: what a request took is let go exactly once, after its last byte or when the client went away.

Rule: callbacks run in reverse order; one that fails does not keep the others from running.
Rule: a cancelled request is torn down all the same.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: A callback: handed the exception that ended the request, or None; may return something to await.
Callback = Callable[[BaseException | None], Awaitable[None] | None]


class TeardownMiddleware:
    """Runs `scope["trivet.teardown"]` of each request around `app`.

    The error handed on is the one the app raised; a client that went away before the last byte without the
    app noticing is a ConnectionResetError.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        callbacks: list[Callback] = []
        scope["trivet.teardown"] = callbacks
        whole = scope["type"] == "websocket"
        gone = False

        async def receiving() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def sending(message: Message) -> None:
            nonlocal whole
            await send(message)
            whole = whole or (message["type"] == "http.response.body" and not message.get("more_body"))

        error: BaseException | None = None
        try:
            await self.app(scope, receiving, sending)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if error is None and gone and not whole:
                error = ConnectionResetError("the client went away before the last byte")
            if callbacks:
                await asyncio.shield(asyncio.ensure_future(_run_all(callbacks, error)))


async def _run_all(callbacks: list[Callback], error: BaseException | None) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for callback in callbacks:
            stack.push_async_callback(_call, callback, error)


async def _call(callback: Callback, error: BaseException | None) -> None:
    waiting = callback(error)
    if waiting is not None:
        await waiting
