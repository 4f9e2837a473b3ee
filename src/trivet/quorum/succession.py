"""From one keeper to the next: when a new leader may answer people, and how it goes on or ends in order.

Rule: who follows a keeper of another name answers nobody before that one's lease has run out; it was waited
out, the other ended (cleanly, or whoever would be it holds nothing any more, see `hold`), or a majority took
nothing from it for as long and nothing up to the promise.
Rule: the log names a keeper only once it may answer, durably before its first answer: whoever follows it then
knows whose lease there may be.
Rule: with a standby in CONFIG nothing is answered without the lease.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from trivet.quorum.leader_commands import Enthroned, LeaderCommand
from trivet.quorum.lease import wait_out_s
from trivet.quorum.membership import Config
from trivet.quorum.reign import Reign

#: Of banks that took nothing for as long as a lease lasts: (incarnation, appends heard by its process).
Silence = Mapping[int, tuple[str, int]]


class Succession:
    """The way of the keeper called `name` to the throne of `reign` and down from it.

    `silent` is what it saw of the banks while it stood by (`Standby.silence`), over the same connections.
    """

    __slots__ = ("_held", "_name", "_opens_at", "_reign", "_sealed_at", "_silent", "phase")

    def __init__(self, reign: Reign, name: str, silent: Silence) -> None:
        self.phase: Literal["waiting", "sealing", "open", "ended"] = "waiting"
        self._reign = reign
        self._name = name
        self._held = {name}
        self._silent = dict(silent)
        self._opens_at = float("inf")
        self._sealed_at = 0

    def hold(self, name: str) -> None:
        """Take in that nobody but this process can be the keeper called `name`: the one who was is dead."""
        self._held.add(name)

    def forget(self, bank: int) -> None:
        """Take in that the connection to `bank` was lost: it may have heard the other keeper since."""
        self._silent.pop(bank, None)

    def begin(self, now: float) -> None:
        """Take in that a majority promised and the log is chosen: nobody else's lease is renewed any more."""
        config = self._reign.log.config
        assert config is not None
        free = config.keeper in self._held or config.vacant or self._ran_out(config)
        self._opens_at = now if free else now + wait_out_s()

    def _ran_out(self, config: Config) -> bool:
        followers = self._reign.followers
        silent = 0
        for bank, seen in self._silent.items():
            identity = followers[bank].identity
            if identity is not None and config.names(bank, identity.incarnation):
                silent += (identity.incarnation, identity.heard) == seen
        return silent > len(followers) // 2

    def step(self, now: float) -> list[LeaderCommand]:
        """Go on to the throne as far as time and the log allow; Enthroned tells when it is reached."""
        reign = self._reign
        if reign.phase != "serve" or self.phase in ("open", "ended") or now < self._opens_at:
            return []
        commands: list[LeaderCommand] = []
        if self.phase == "waiting":
            self.phase = "sealing"
            config = reign.log.config
            assert config is not None
            if (led := config.led_by(self._name)) != config:
                commands = reign.change_config(led, now)
                self._sealed_at = reign.log.config_slot
        if reign.marks.durable >= self._sealed_at:
            self.phase = "open"
            commands.append(Enthroned())
        return commands

    def may_answer(self, now: float) -> bool:
        """Tell whether reads at `now` may be answered, and changes acknowledged."""
        config = self._reign.log.config
        if self.phase != "open" or self._reign.phase != "serve" or config is None:
            return False
        return not config.standby or self._reign.lease.holds(now)

    def register(self, standby: str, now: float) -> list[LeaderCommand]:
        """Let the keeper called `standby` take over from now on ("": nobody); it reads so in the journal."""
        config = self._reign.log.config
        if self.phase != "open" or config is None or config.standby == standby:
            return []
        return self._reign.change_config(msgspec.structs.replace(config, standby=standby), now)

    def step_down(self, now: float) -> list[LeaderCommand]:
        """Answer nobody any more and say so in the log, so that the other keeper need not wait."""
        config = self._reign.log.config
        if self.phase != "open" or config is None:
            return []
        self.phase = "ended"
        return self._reign.change_config(msgspec.structs.replace(config, vacant=True), now)
