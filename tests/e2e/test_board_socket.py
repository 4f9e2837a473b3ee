"""/api/v1/board as programs meet it: who sees what, and clients that do not behave."""

import time
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from door_in_memory import DoorInMemory, door_in_memory
from trivet.drive.rights import EVERYTHING, Scope
from trivet.wire.board_frames import BoardFrame, ShortFrame
from trivet.wire.control_messages import BankStatus, Finding, RepairHistory, ServerStatus, Status

STATUS = Status(
    "v", False, [BankStatus(9000, [ServerStatus(9000, "up", 1, 2, 3), ServerStatus(9001, "down")])]
)
REPAIRS = RepairHistory(
    [Finding("fixed", "/secret.txt", "page", 9000, "checksum differs", time.time(), 7000)]
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DoorInMemory]:
    keeper = {"status": msgspec.to_builtins(STATUS), "repairs": msgspec.to_builtins(REPAIRS)}
    with door_in_memory(tmp_path_factory.mktemp("board") / "state", status=keeper) as served:
        served.people.users.add("ann", "long enough", scopes=(EVERYTHING,), admin=True)
        served.people.users.add("bob", "long enough", scopes=(EVERYTHING,))
        yield served


def look(door: DoorInMemory, user: str, scope: Scope = EVERYTHING) -> ClientConnection:
    secret, _ = door.people.tokens.create(user, scope)
    headers = {"Authorization": f"Bearer {secret}"}
    where = door.url.replace("http", "ws") + "/api/v1/board"
    return connect(where, additional_headers=headers, close_timeout=0.2)


def test_an_administrator_sees_all_and_others_the_short_form(door: DoorInMemory) -> None:
    below = look(door, "ann", Scope("/reports", "r"))
    with look(door, "ann") as hers, look(door, "bob") as his, below:
        for socket in (hers, his, below):
            first = msgspec.json.decode(socket.recv(5), type=ShortFrame)
            assert first.verdict.sentence == "The drive works; bank 9000 lacks server 9001."
            socket.send("next")
        full = msgspec.json.decode(hers.recv(20), type=BoardFrame)
        told = str(his.recv(20))
        short = msgspec.json.decode(told, type=ShortFrame)
        msgspec.json.decode(below.recv(20), type=ShortFrame)  # her token is for a folder only
    assert full.healing.repairs[0].path == "/secret.txt"
    assert short.verdict == full.verdict
    assert short.banks[0].servers[1] == ServerStatus(9001, "down")
    assert "secret" not in told
    assert "127.0.0.1" not in told


def test_health_and_repairs_tell_each_what_concerns_them(door: DoorInMemory) -> None:
    def told(user: str, path: str, scope: Scope = EVERYTHING) -> httpx.Response:
        secret, _ = door.people.tokens.create(user, scope)
        return httpx.get(f"{door.url}/api/v1/{path}", headers={"Authorization": f"Bearer {secret}"})

    hers, his = told("ann", "health").json(), told("bob", "health").json()
    assert hers["banks"][0]["servers"][0]["pid"] == 1
    assert his["banks"][0]["servers"][0] | {"pid": None} == his["banks"][0]["servers"][0]
    assert (his["healthy"], his["gateway"]) == (False, None)
    assert his["notes"] == ["The drive works; bank 9000 lacks server 9001."]
    seen = {
        (user, scope.path): [one["path"] for one in told(user, "repairs", scope).json()["repairs"]]
        for user, scope in (("ann", EVERYTHING), ("bob", EVERYTHING), ("bob", Scope("/reports", "r")))
    }
    assert seen == {("ann", "/"): ["/secret.txt"], ("bob", "/"): ["/secret.txt"], ("bob", "/reports"): []}
    assert told("ann", "processes").status_code == 501  # no `trivet up` looks here
    for who in ("bob", "ann"):
        assert told(who, "processes", Scope("/reports", "r")).status_code == 403
    assert "only administrators" in told("bob", "processes").json()["detail"]


def test_nobody_sees_nothing(door: DoorInMemory) -> None:
    with connect(door.url.replace("http", "ws") + "/api/v1/board") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


def test_one_frame_a_word_however_many_words_come(door: DoorInMemory) -> None:
    with look(door, "bob") as socket:
        socket.recv(5)
        with pytest.raises(TimeoutError):
            socket.recv(0.5)  # nobody asked
        for number in range(100):
            socket.send(b"\0" * 1000 if number % 2 else "x" * 1000)
        times = [msgspec.json.decode(socket.recv(20), type=ShortFrame).at_s for _ in range(4)]
    assert times == sorted(set(times))
    assert times[-1] - times[0] > 0.8
