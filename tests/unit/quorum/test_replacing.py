"""Servers are replaced only while both other banks are whole."""

import msgspec
import pytest

from trivet.quorum.replacing import hindrances
from trivet.wire.control_messages import BankStatus, ServerStatus, Status
from trivet.wire.refill_messages import Refill

WHOLE = Status("00", True, [BankStatus(base, [ServerStatus(base, "up")]) for base in (7000, 8000, 9000)])


def with_server(server: ServerStatus) -> Status:
    banks = [BankStatus(b.base, [server]) if b.base == server.port else b for b in WHOLE.banks]
    return msgspec.structs.replace(WHOLE, banks=banks)


HURT = {
    "down": with_server(ServerStatus(9000, "down")),
    "full": with_server(ServerStatus(9000, "full")),
    "joining": with_server(ServerStatus(9000, "joining")),
    "compared": with_server(ServerStatus(9000, "up", compared=False)),
    "3 copies": with_server(ServerStatus(9000, "up", divergent=3)),
    "filled itself": msgspec.structs.replace(WHOLE, refill=Refill(1, 2, servers=[9000])),
    "lags": msgspec.structs.replace(WHOLE, banks=[*WHOLE.banks[:2], BankStatus(9000, [], "slow")]),
}


def test_any_bank_of_a_whole_drive_may_be_replaced() -> None:
    assert [hindrances(WHOLE, base) for base in (7000, 8000, 9000)] == [[], [], []]


@pytest.mark.parametrize("why", HURT)
def test_what_another_bank_lacks_hinders_and_what_its_own_lacks_does_not(why: str) -> None:
    (told,) = hindrances(HURT[why], 7000)
    assert why in told
    assert "9000" in told
    assert hindrances(HURT[why], 9000) == []
    assert hindrances(HURT[why], None) == [told], "what any bank lacks hinders adding to any"


def test_a_keeper_that_serves_nothing_hinders() -> None:
    away = msgspec.structs.replace(WHOLE, notes=["NoMajority: two banks are away"])
    assert hindrances(away, 7000) == ["NoMajority: two banks are away"]
