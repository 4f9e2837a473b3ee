"""Words first: all is well, or what is not, by name."""

from rich.console import Console

from trivet.supervise.health_words import machine_line, notes_of, problems, process_table, verdict_lines
from trivet.wire.control_messages import BankStatus, Child, ServerStatus, Status
from trivet.wire.health_messages import (
    DriveFigures,
    MachineFigures,
    ProcessFigures,
    ScalingState,
    ScalingStep,
)

MACHINE = MachineFigures(2, 12.0, 50.0, 10**10, 10**9, 0, 0)
FULL = MachineFigures(2, 12.0, 91.0, 10**10, 10**9, 0, 0)
LEAKING = ProcessFigures(
    7, 1, "door worker", "door worker 2", 3.0, 10**8, 10**7, 9, 2, None, None, 300.0,
    "memory", "memory grew from 1.0 MB to 9.0 MB within 29 min",
)  # fmt: skip
SCALING = ScalingState(1, 1, 2, 0, 12.0, 80, 40, 85, waiting="busy for 4 s of 10 s")
WHOLE = Status("00", True, [BankStatus(7000, [ServerStatus(7000, "up")])])


def drawn(*parts: object) -> str:
    console = Console(width=140, no_color=True)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def test_all_is_well_is_said_in_one_line() -> None:
    figures = DriveFigures(1.0, 1.0, MACHINE, [], SCALING)
    assert problems(WHOLE, figures) == []
    assert drawn(*verdict_lines([])).strip() == "All is well."
    assert "busy for 4 s of 10 s" in drawn(machine_line(figures))


def test_leaks_memory_and_steps_that_failed_are_told_by_name() -> None:
    steps = [ScalingStep(1, 100.0, "command failed", "it hung", 1)]
    notes = notes_of(160.0, FULL, [LEAKING], SCALING, steps)
    assert [note.partition(" ")[0] for note in notes] == ["door", "memory", "scaling,"]
    assert "door worker 2 (process 7) leaks: memory grew" in notes[0]
    assert notes_of(10_000.0, MACHINE, [], SCALING, steps) == []
    assert notes_of(160.0, FULL, [], None, []) != []
    assert "leaks memory" in drawn(process_table([LEAKING]))


def test_banks_doors_and_watchers_that_are_away_are_named() -> None:
    broken = Status("00", False, [BankStatus(7000, [ServerStatus(7000, "down")])], open_damage=3,
                    gateway=Child("gateway", 8080, None, "down", "door.log"))  # fmt: skip
    found = problems(broken, None)
    assert any("server 7000 down" in one for one in found)
    assert any("door.log" in one for one in found)
    assert any("trivet up" in one for one in found)
    assert problems(Status("00", False, []), DriveFigures(1.0, 1.0, MACHINE, [])) != []
    states = (("up", 7000), ("down", 8000), ("down", 9000))
    two_away = [BankStatus(port, [ServerStatus(port, state)]) for state, port in states]
    assert problems(Status("00", False, two_away), None)[0].startswith("most banks are away: nothing can")
