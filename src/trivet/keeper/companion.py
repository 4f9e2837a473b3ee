"""The keeper that stands by, as the one that leads knows it: registered in CONFIG, heard of, missed.

Rule: with a standby in CONFIG nothing is answered without the lease; one that was not heard of for
FORGOTTEN_S is taken out of CONFIG: it can't follow, and nobody need refuse to read for its sake.
Rule: one on another host stays there: it may be back, and alone, when this one is not.
Rule: so it is, always, where a keeper elsewhere may take over any time.
Rule: a clean stop says so in the log, last of all, so that the other one need not wait.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Literal

from trivet.errors import Conflict, ProtocolError
from trivet.io.clock import steady_s
from trivet.keeper.leader_shell import LeaderShell
from trivet.keeper.lease_guard import guard
from trivet.keeper.local_volume import LocalVolume
from trivet.keeper.owned_task import own_task
from trivet.keeper.seat import Seat
from trivet.keeper.standing_by import STANDBY_FOLDER
from trivet.wire.control_messages import StandbyStatus
from trivet.wire.volume_messages import KeeperFollows

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
LOOK_AGAIN_S = 0.01
SILENT_S = 3.0
FORGOTTEN_S = 15.0
STEP_DOWN_S = 2.0
HEARD_WITHIN_S = 10.0

State = Literal["joining", "follows", "silent"]


@dataclass(slots=True)
class _Heard:
    pid: int
    slot: int
    at: float


class Companion:
    """Whoever stands by for the keeper of `seat`, which serves `volume` through `shell`.

    `notes` say so when it is missed.
    """

    def __init__(self, shell: LeaderShell, seat: Seat, volume: LocalVolume, notes: dict[str, str]) -> None:
        self._shell = shell
        self._name = seat.other
        self._is_expected = seat.stands_by
        self._host = seat.other_host
        self._servers = 0
        self._volume = volume
        self._notes = notes
        self._heard: _Heard | None = None
        self._since = steady_s()
        self._is_guarded = False
        self._guard()
        self._watching = own_task(self._watch())

    def may_answer(self) -> bool:
        """Tell whether what was found out just now may be told."""
        now, leader = steady_s(), self._shell.leader
        if self._shell.may_be_followed and not leader.reign.lease.holds(now):
            return False
        return leader.succession.may_answer(now)

    def follows(self, pid: int, slot: int, trouble: str) -> None:
        """Take in that the other keeper stands by and has read the journal to `slot`; register it.

        `trouble` says why its folder can't be read, "" if all is well.
        """
        self._heard = _Heard(pid, slot, steady_s())
        self._notes.pop("standby", None)
        self._notes.pop(STANDBY_FOLDER, None)
        if trouble:
            self._notes[STANDBY_FOLDER] = trouble
        self._shell.run(self._shell.leader.succession.register(self._name, steady_s()))
        self._guard()

    def follows_from_afar(self, said: KeeperFollows) -> None:
        """Take in what the other keeper says of itself from its host; ProtocolError if it is not that one."""
        if said.name != self._name or self._host is None:
            raise ProtocolError(f"a keeper called {said.name!r} is not the one to stand by for this one")
        self.follows(said.pid, said.slot, said.trouble)
        self._servers = said.servers

    def must_hear(self) -> None:
        """Raise Conflict while a keeper on another host, which has to know of a change, does not follow."""
        told = self.told()
        if self._host is not None and (told is None or told.state != "follows"):
            raise Conflict(f"the keeper that stands by on {self._host} must hear of it, and is not heard of")

    async def heard_of(self, servers: int) -> None:
        """Wait until it knows of so many servers; Conflict when it does not in time."""
        if self._host is None:
            return
        try:
            async with asyncio.timeout(HEARD_WITHIN_S):
                while self._servers < servers:  # noqa: ASYNC110 - it says so every half a second
                    await asyncio.sleep(LOOK_AGAIN_S)
        except TimeoutError:
            raise Conflict(
                f"it belongs to the volume now, but the keeper on {self._host} has not heard of it: is "
                "`trivet up` running there?"
            ) from None

    def told(self) -> StandbyStatus | None:
        """Return how the other keeper is doing, None if there is none."""
        heard, marks = self._heard, self._shell.leader.reign.marks
        if heard is None:
            return None
        age_s = steady_s() - heard.at
        config = self._shell.leader.reign.log.config
        registered = config is not None and config.standby == self._name
        state: State = "silent" if age_s > SILENT_S else "follows" if registered else "joining"
        return StandbyStatus(
            self._name, state, heard.pid, heard.slot, max(marks.durable - heard.slot, 0), age_s, self._host
        )

    async def close(self) -> None:
        """End; with somebody who stands by the log says that this reign is over."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        config = self._shell.leader.reign.log.config
        if config is None or not config.standby or self._shell.leader.reign.phase == "deposed":
            return
        self._shell.run(self._shell.leader.succession.step_down(steady_s()))
        reign = self._shell.leader.reign
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STEP_DOWN_S):
                while True:
                    if reign.marks.durable >= reign.log.config_slot:
                        return
                    await asyncio.sleep(LOOK_AGAIN_S)

    def _guard(self) -> None:
        config = self._shell.leader.reign.log.config
        if not self._is_guarded and config is not None and (config.standby or self._shell.may_be_followed):
            self._is_guarded = True
            guard(self._volume, self.may_answer)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = steady_s()
            last = self._since if self._heard is None else self._heard.at
            if now - last > SILENT_S and (self._is_expected or self._heard is not None):
                self._notes.pop(STANDBY_FOLDER, None)
                self._notes["standby"] = f"no keeper stands by: the one called {self._name} is not heard of"
            if now - last > FORGOTTEN_S and self._host is None and self._shell.leader.is_serving:
                self._shell.run(self._shell.leader.succession.register("", now))
