"""What clients ask of a keeper in a run: a change, how it is to be answered, again until somebody knows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from trivet.quorum.once import Call

if TYPE_CHECKING:
    from sim_keeper import SimKeeper
    from sim_world import World

Done = Callable[[str], None]
#: How many answers never reach who asked.
ANSWERS_LOST = 0.15


@dataclass(frozen=True)
class Asked:
    """How a client wants to be answered, and which of its calls this is."""

    sync: bool
    done: Done
    call: Call | None = None


@dataclass(frozen=True)
class Change:
    """What a client wants: the same however often it asks."""

    key: bytes
    value: bytes | None
    blob: bool
    sync: bool


class Caller:
    """A client that asks for one change after the other, each until it is answered, whoever then reigns."""

    def __init__(self, world: "World", number: int, told: Done) -> None:
        self.world = world
        self.answered: list[tuple[bytes, int]] = []
        self._id = b"client %d" % number
        self._told = told
        self._sequence = 0
        self._wanted: Change | None = None

    def ask(self, keeper: "SimKeeper", change: Change) -> None:
        """Ask for `change`, or again for the one before if that was not answered yet."""
        if self._wanted is None:
            self._wanted = change
            self._sequence += 1
        wanted, call = self._wanted, Call(self._id, self._sequence, self._sequence)
        keeper.write(
            wanted.key, wanted.value, blob=wanted.blob, sync=wanted.sync,
            done=partial(self._answer, call.sequence), call=call,
        )  # fmt: skip

    def _answer(self, sequence: int, outcome: str) -> None:
        self._told(outcome)
        is_late = self._wanted is None or sequence != self._sequence
        if outcome == "unknown" or is_late or self.world.rng.random() < ANSWERS_LOST:
            return
        if outcome != "nothing to do":
            self.answered.append((self._id, sequence))
        self._wanted = None
