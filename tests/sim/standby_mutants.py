"""Deliberate errors in how one keeper follows another: each breaks a rule of the lease, and must be noticed.

Rule: a mutant is killed by what any run with a standby demands, on seeds that were not chosen for it.
"""

from typing import Any

import pytest

from sim_mutants import Patch
from standby_run import StandbyRun
from trivet.quorum import standby, succession
from trivet.quorum.lease import Lease
from trivet.quorum.membership import KEEPER, STANDBY, Config
from trivet.quorum.standby import Standby
from trivet.quorum.succession import Succession


def reads_as_a_zombie(patch: pytest.MonkeyPatch) -> None:
    """A keeper goes on answering when its lease has run out."""
    patch.setattr(
        Succession, "may_answer", lambda self, now: self.phase == "open" and self._reign.phase == "serve"
    )


def waits_for_no_lease(patch: pytest.MonkeyPatch) -> None:
    """Who takes over answers at once, and takes a moment of silence for an end."""
    patch.setattr(succession, "wait_out_s", lambda: 0.0)
    patch.setattr(standby, "wait_out_s", lambda: 1.5)


def takes_one_silent_bank_for_all(patch: pytest.MonkeyPatch) -> None:
    """One bank that heard nothing is enough to take over, and to answer at once."""
    real = Standby.silence

    def silence(self: Standby, now: float) -> Any:
        silent = real(self, now)
        return dict.fromkeys(self._banks, next(iter(silent.values()))) if silent else {}

    patch.setattr(Standby, "silence", silence)
    patch.setattr(Succession, "_ran_out", lambda self, config: bool(self._silent))


def believes_silence_it_slept_through(patch: pytest.MonkeyPatch) -> None:
    """What banks heard up to the promise is not looked at."""
    real = Standby.silence
    patch.setattr(Standby, "silence", lambda self, now: real(self, now + 3.0))
    patch.setattr(Succession, "_ran_out", lambda self, config: len(self._silent) > 1)
    patch.setattr(Succession, "forget", lambda self, bank: None)


def steps_down_and_goes_on(patch: pytest.MonkeyPatch) -> None:
    """The log says that the keeper has ended, and it still answers."""
    real = Succession.step_down

    def step_down(self: Succession, now: float) -> Any:
        commands = real(self, now)
        self.phase = "open"
        return commands

    patch.setattr(Succession, "step_down", step_down)


def counts_the_lease_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """A lease is renewed when an answer comes, however old the question is."""
    real = Lease.answered
    patch.setattr(Lease, "answered", lambda self, bank, sent_at: real(self, bank, sent_at + 2.0))


def leaves_a_taken_throne_named(patch: pytest.MonkeyPatch) -> None:
    """Who takes over never says so in the log: the other comes back as if it had reigned all along."""
    patch.setattr(Config, "led_by", lambda self, keeper: self)


def runs_beyond_the_drift_bound(patch: pytest.MonkeyPatch) -> None:
    """Clocks are wrong by more than leases allow for."""
    patch.setattr(StandbyRun, "clock_rate", lambda self: self.world.rng.choice((0.6, 1.5)))


def takes_a_free_lock_for_a_death(patch: pytest.MonkeyPatch) -> None:
    """On another host every lock is free: who stands by there takes the other for dead."""
    real_turn, real_begin = Standby.turn, Succession.begin

    def turn(self: Standby, now: float) -> Any:
        may = self.config is not None and self.config.standby == self._name
        return "reign" if may else real_turn(self, now)

    def begin(self: Succession, now: float) -> None:
        self.hold(KEEPER)
        self.hold(STANDBY)
        real_begin(self, now)

    patch.setattr(Standby, "turn", turn)
    patch.setattr(Succession, "begin", begin)


def forgets_what_it_applied(patch: pytest.MonkeyPatch) -> None:
    """What a client asks for again is done again."""
    patch.setattr("standby_keeper.answer_of", lambda call, record: None)


MUTANTS: tuple[Patch, ...] = (
    reads_as_a_zombie, waits_for_no_lease, takes_one_silent_bank_for_all, believes_silence_it_slept_through,
    steps_down_and_goes_on, counts_the_lease_from_the_answer, takes_a_free_lock_for_a_death,
    leaves_a_taken_throne_named, runs_beyond_the_drift_bound, forgets_what_it_applied,
)  # fmt: skip
