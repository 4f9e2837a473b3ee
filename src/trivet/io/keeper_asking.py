"""Asking the keeper that leads, wherever it runs.

Rule: where all is on one machine it is asked by its control socket. Over hosts by its door, which only who
leads has open, on this host or another; where nobody does, the keeper of this host may know why.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from trivet.errors import ConfigError
from trivet.io.clock import steady_s
from trivet.io.control_socket import ALIVE_EVERY_S, SILENCE_S, Remote, Report, ask, outcome_of
from trivet.io.link import Link, LinkLost
from trivet.io.reach import Reach
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import KeeperAsked, KeeperWorks

CONNECT_S = 2.0


async def ask_keeper(
    folder: VolumeFolder,
    do: str,
    arguments: Mapping[str, Any] | None = None,
    on_progress: Report | None = None,
    silence_s: float = SILENCE_S,
) -> dict[str, Any]:
    """Ask the keeper of the volume in `folder` that leads to `do` something; see `control_socket.ask`."""
    if await asyncio.to_thread(_is_spread, folder):
        asking = _FarAsking(on_progress)
        reach = await asyncio.to_thread(Reach, folder)
        try:
            link = await reach.keeper(timeout_s=min(CONNECT_S, silence_s), on_event=asking.heard)
        except LinkLost:
            pass  # nobody leads
        else:
            return await asking.answer(link, {"do": do, **(arguments or {})}, silence_s)
    return await ask(folder.keeper_socket, do, arguments, on_progress, silence_s)


def _is_spread(folder: VolumeFolder) -> bool:
    """Tell whether the volume is over hosts; whose description can't be read now is asked here."""
    try:
        return bool(folder.read_config().hosts)
    except ConfigError:
        return False


class _FarAsking:
    """One request at the door of a keeper, and what it says meanwhile."""

    def __init__(self, on_progress: Report | None) -> None:
        self._on_progress = on_progress
        self._heard_at = steady_s()

    def heard(self, message: BankMessage) -> None:
        """Take in that the keeper works on it."""
        self._heard_at = steady_s()
        if isinstance(message, KeeperWorks) and message.progress and self._on_progress is not None:
            self._on_progress(json.loads(message.progress))

    async def answer(self, link: Link, request: Mapping[str, Any], silence_s: float) -> dict[str, Any]:
        """Send the request over `link`, which ends with it; return the result."""
        try:
            replying = link.start(KeeperAsked(json.dumps(request).encode()))
            while not replying.done():
                await asyncio.wait({replying}, timeout=min(ALIVE_EVERY_S, silence_s))
                if not replying.done() and steady_s() - self._heard_at > silence_s:
                    raise Remote("Hung", f"the keeper gave no sign of life for {silence_s:g} s", 3)
            _message, body = replying.result()
        except LinkLost as error:
            raise Remote("Died", f"the keeper was gone before it had answered: {error}", 3) from error
        finally:
            await link.close()
        return outcome_of(json.loads(bytes(body)))
