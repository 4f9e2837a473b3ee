"""What people on other hosts ask at the volume door, and what they can't."""

import asyncio
import json
from typing import Any

import pytest

from trivet.errors import Conflict, ProtocolError
from trivet.io.control_socket import Handler, Report
from trivet.keeper import door_aside
from trivet.keeper.door_aside import DoorAside
from trivet.wire.journal_messages import BankMessage
from trivet.wire.volume_messages import KeeperAnswered, KeeperAsked, KeeperFollows, KeeperHeard, KeeperWorks


class Ears:
    """Remembers what a peer is told unasked."""

    def __init__(self) -> None:
        self.heard: list[BankMessage] = []

    def send_event(self, message: BankMessage) -> None:
        """See Peer."""
        self.heard.append(message)


async def echo(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    return arguments


async def refuses(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    raise Conflict("not now")


async def takes_long(arguments: dict[str, Any], report: Report) -> dict[str, Any]:
    for number in range(1000):
        report({"done": number})
    await asyncio.sleep(0.2)
    return {}


async def asked(do: str, handler: Handler, ears: Ears | None = None, **arguments: Any) -> dict[str, Any]:
    """Ask a door with one verb, `does`; return the last line."""
    door = DoorAside({"does": handler, "shutdown": handler}, lambda said: None)
    request = KeeperAsked(json.dumps({"do": do, **arguments}).encode())
    answering = door.answer(request, ears or Ears())  # type: ignore[arg-type]
    assert asyncio.iscoroutine(answering)
    message, line = await answering
    assert isinstance(message, KeeperAnswered)
    told: dict[str, Any] = json.loads(bytes(line))
    return told


async def test_a_verb_is_answered_as_on_the_control_socket() -> None:
    assert await asked("does", echo, path="a") == {"result": {"path": "a"}}
    told = await asked("does", refuses)
    assert (told["error"]["kind"], told["error"]["message"]) == ("Conflict", "not now")


async def test_a_keeper_can_t_be_ended_from_another_host() -> None:
    assert (
        "no control verb 'shutdown'; there are: does" in (await asked("shutdown", echo))["error"]["message"]
    )


async def test_how_far_it_is_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand steps are not a thousand messages: who does not read must not fill our memory."""
    monkeypatch.setattr(door_aside, "TELL_EVERY_S", 0.05)
    ears = Ears()
    await asked("does", takes_long, ears)
    assert 1 <= len(ears.heard) <= 5
    assert ears.heard[-1] == KeeperWorks(b'{"done": 999}')


async def test_an_answer_that_is_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_aside, "ANSWER_BYTES", 100)
    assert "too long" in (await asked("does", echo, path="a" * 200))["error"]["message"]


async def test_what_is_no_request_costs_the_connection_and_a_client_s_call_is_not_for_it() -> None:
    door = DoorAside({}, lambda said: None)
    with pytest.raises(ProtocolError, match="one line of JSON"):
        door.answer(KeeperAsked(b"{"), Ears())  # type: ignore[arg-type]
    assert door.answer(KeeperHeard(), Ears()) is None  # type: ignore[arg-type]


async def test_a_keeper_that_stands_by_is_heard() -> None:
    heard: list[KeeperFollows] = []
    said = KeeperFollows("standby", 7, 100, "", 6)
    assert DoorAside({}, heard.append).answer(said, Ears()) == KeeperHeard()  # type: ignore[arg-type]
    assert heard == [said]
