"""Which events begin and end a phase of a run.

Rule: the ten waypoints of a test run are known, and the eight of a transfer; any other pair `X_start`,
`X_end` is the phase X.
Rule: phases keep one order (declared, then waypoints, then by name): it is the order of every legend.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trivet.errors import InputError

WAYPOINTS = (
    "request",
    "queue_start",
    "queue_end",
    "flash_start",
    "flash_end",
    "boot_start",
    "boot_end",
    "test_start",
    "test_end",
    "publish",
)

#: Time of a run in which none of its phases was going on.
OTHER = "*other*"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run: from the event `start` to the event `end`."""

    name: str
    start: str
    end: str


TEST_RUN_PHASES = (
    Phase("initialisation", "request", "queue_start"),
    Phase("queue", "queue_start", "queue_end"),
    Phase("flash", "flash_start", "flash_end"),
    Phase("boot", "boot_start", "boot_end"),
    Phase("test", "test_start", "test_end"),
    Phase("publish", "test_end", "publish"),
)

#: A transfer ends with its content made visible; the other two phases of its own are found by their names.
_TRANSFER_PUBLISH = Phase("publish", "verify_end", "publish")

#: The events that show that a phase is there at all: not those that only bound a neighbour.
_OWN_EVENTS = {
    phase.name: {
        event
        for event in (phase.start, phase.end)
        if event.startswith(phase.name)
        or not any(event in (other.start, other.end) for other in TEST_RUN_PHASES if other != phase)
    }
    for phase in TEST_RUN_PHASES
}


def parse_phase(words: str) -> Phase:
    """The phase that the option `NAME=START..END` declares."""
    name, equals, stretch = words.partition("=")
    start, dots, end = stretch.partition("..")
    if not (name and equals and start and dots and end):
        raise InputError(f"'{words}' declares no phase: write NAME=START_EVENT..END_EVENT")
    return Phase(name, start, end)


def phases_of(event_names: Iterable[str], declared: Sequence[Phase] = ()) -> tuple[Phase, ...]:
    """The phases that a table with `event_names` can show; `declared` ones replace all others."""
    names = set(event_names)
    if declared:
        return tuple(declared)
    known = tuple(phase for phase in TEST_RUN_PHASES if names & _OWN_EVENTS[phase.name])
    taken = {name for phase in TEST_RUN_PHASES for name in (phase.start, phase.end)}
    stems = {stem for name in names - taken if (stem := _stem(name))}
    others = tuple(Phase(stem, f"{stem}_start", f"{stem}_end") for stem in sorted(stems))
    if "verify_end" in names and "test_end" not in names and known[-1:] == (TEST_RUN_PHASES[-1],):
        return (*known[:-1], *others, _TRANSFER_PUBLISH)
    return known + others


def _stem(event_name: str) -> str:
    for suffix in ("_start", "_end"):
        if event_name.endswith(suffix):
            return event_name.removesuffix(suffix)
    return ""
