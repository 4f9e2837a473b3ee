"""What others than clients say at the volume door: a keeper that stands by, people who ask from other hosts.

Rule: people are answered as on the control socket; what concerns this process alone (who follows it on this
machine, its end) is asked there.
Rule: how far something is they are told now and then: who does not read must not fill our memory.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from trivet.errors import InputError
from trivet.io.control_socket import Handler, answer_to, request_of, told_error
from trivet.io.link import HandlerResult, Peer, Reply
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import KeeperAnswered, KeeperAsked, KeeperFollows, KeeperHeard, KeeperWorks

TELL_EVERY_S = 0.5
ANSWER_BYTES = 16 << 20
_OWN_VERBS = {"follow", "shutdown"}


class DoorAside:
    """Answers with `handlers`, those of the control socket; `follows` is told of a keeper that stands by."""

    def __init__(self, handlers: Mapping[str, Handler], follows: Callable[[KeeperFollows], None]) -> None:
        self._handlers = {verb: handler for verb, handler in handlers.items() if verb not in _OWN_VERBS}
        self._follows = follows

    def answer(self, message: BankMessage, peer: Peer) -> HandlerResult | Coroutine[Any, Any, Reply] | None:
        """Answer a message, None if it is a client's; raises ProtocolError."""
        match message:
            case KeeperFollows():
                self._follows(message)
                return KeeperHeard()
            case KeeperAsked(request):
                return self._work(request_of(request), peer)
        return None

    async def _work(self, request: dict[str, Any], peer: Peer) -> Reply:
        """Carry out what is asked; who went away ends it."""
        latest: bytes = b""

        def report(step: Mapping[str, Any]) -> None:
            nonlocal latest
            latest = json.dumps(dict(step)).encode()

        working = asyncio.create_task(answer_to(self._handlers, request, report))
        try:
            while not working.done():
                await asyncio.wait({working}, timeout=TELL_EVERY_S)
                if not working.done():
                    peer.send_event(KeeperWorks(latest))
        finally:
            working.cancel()
            await asyncio.wait({working})
        line = json.dumps(working.result()).encode()
        if len(line) > ANSWER_BYTES:
            error = InputError("the answer is too long for another host: type this where the keeper runs")
            line = json.dumps({"error": told_error(error)}).encode()
        return KeeperAnswered(), line
