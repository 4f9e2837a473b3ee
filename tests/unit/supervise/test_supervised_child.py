"""How long a child that died waits for its next start."""

from pathlib import Path

from trivet.supervise.supervised_child import FIRST_PAUSE_S, LONGEST_PAUSE_S, SERVED_S, SupervisedChild


def server() -> SupervisedChild:
    return SupervisedChild(["serve"], Path("server.log"), 7000)


def test_what_dies_of_its_start_waits_ever_longer() -> None:
    pauses = [FIRST_PAUSE_S]
    for _ in range(8):
        pauses.append(server().pause_after(pauses[-1], lived_s=0.5))
    assert pauses[:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_server_that_served_for_a_moment_is_started_again_at_once() -> None:
    """One that loses its folder every few seconds must be back each time."""
    assert server().pause_after(LONGEST_PAUSE_S, lived_s=3.5, served_s=SERVED_S + 0.1) == FIRST_PAUSE_S


def test_a_server_that_dies_just_after_it_answered_waits_longer() -> None:
    assert server().pause_after(1.0, lived_s=3.5, served_s=SERVED_S / 2) == 2.0


def test_one_that_never_answered_waits_longer_however_slow_its_start_was() -> None:
    assert server().pause_after(1.0, lived_s=8.0, served_s=float("-inf")) == 2.0
