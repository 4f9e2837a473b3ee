"""What clients did and were told, and whether one volume can have told them all that.

Rule: every operation has a name, a call time, a return time (None: nobody knows whether it happened) and what
it wrote or read; a content is written once and never changes, so it is named by a number.
Rule: the log is the witness: what it says became of each name, in order, must lie within the operations.
Rule: who moves a name moves what is there when the log takes the move in, not what somebody saw there before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["store", "remove", "move", "load"]
ABSENT = 0


class Refused(AssertionError):
    """A history that no volume may have."""


@dataclass(slots=True)
class Operation:
    """One operation of a client on `name` (`to`: where it was moved).

    `content` is what was stored or read: ABSENT for nothing there, None when nobody knows, as of a move.
    """

    client: int
    kind: Kind
    name: bytes
    called: float
    content: int | None = None
    to: bytes = b""
    returned: float | None = None
    outcome: Literal["ok", "absent", "failed", "unknown"] = "unknown"
    durable: bool = False

    @property
    def until(self) -> float:
        """When it was over, as far as anybody knows."""
        return float("inf") if self.returned is None or self.outcome == "unknown" else self.returned


@dataclass(frozen=True, slots=True)
class Event:
    """The log says: at `slot`, sealed at the time `at`, `name` came to lead to `content`."""

    slot: int
    at: float
    name: bytes
    content: int


def check_witness(operations: Iterable[Operation], events: Sequence[Event]) -> None:
    """Raise Refused unless every operation fits the log's `events`, which are in order; O(n log n)."""
    by_name: dict[bytes, list[Event]] = defaultdict(list)
    for event in events:
        by_name[event.name].append(event)
    stored: dict[tuple[bytes, int], list[Operation]] = defaultdict(list)
    moved: dict[tuple[bytes, bytes], list[Operation]] = defaultdict(list)
    taken: dict[bytes, list[Operation]] = defaultdict(list)
    ordered = list(operations)
    for one in ordered:
        if one.outcome != "failed" and one.kind == "store":
            stored[one.name, one.content or 0].append(one)
        elif one.outcome != "failed" and one.kind == "move":
            moved[one.name, one.to].append(one)
        if one.kind in ("remove", "move") and one.outcome in ("ok", "unknown"):
            taken[one.name].append(one)
    moves: dict[tuple[bytes, bytes], list[Event]] = defaultdict(list)
    for event, source in zip(events, _sources(events), strict=True):
        moves[source, event.name].append(event)
        wanted = stored[event.name, event.content] + moved[source, event.name]
        if event.content == ABSENT:
            wanted = taken[event.name]
        if not any(one.called <= event.at <= one.until for one in wanted):
            raise Refused(f"slot {event.slot}: nobody made {event.name!r} lead to {event.content} then")
    for one in ordered:
        _check_one(one, by_name, moves)


def _sources(events: Iterable[Event]) -> Iterator[bytes]:
    """Yield for each event the name that its content was moved from by the same change, b"" if by none."""
    leads_to: dict[bytes, int] = {}
    gone: dict[int, Event] = {}
    for event in events:
        left = gone.get(event.content)
        yield left.name if left is not None and (left.slot, left.at) == (event.slot, event.at) else b""
        if event.content == ABSENT:
            gone[leads_to.get(event.name, ABSENT)] = event
        leads_to[event.name] = event.content


def _check_one(
    one: Operation, by_name: dict[bytes, list[Event]], moves: dict[tuple[bytes, bytes], list[Event]]
) -> None:
    if one.outcome == "unknown" or one.returned is None or one.outcome == "failed":
        return
    if one.kind == "store":
        _demand_event(one, [event for event in by_name[one.name] if event.content == (one.content or 0)])
    elif one.kind == "remove" and one.outcome == "ok":
        _demand_event(one, [event for event in by_name[one.name] if event.content == ABSENT])
    elif one.kind == "move" and one.outcome == "ok":
        _demand_event(one, moves[one.name, one.to])
    else:
        content = ABSENT if one.outcome == "absent" else one.content
        if content not in _states_within(by_name[one.name], one.called, one.returned):
            raise Refused(
                f"{one.kind} of {one.name!r} at {one.called:.4f} found {content}, which was not there"
            )


def _demand_event(one: Operation, events: Iterable[Event]) -> None:
    assert one.returned is not None
    if not any(one.called <= event.at <= one.returned for event in events):
        raise Refused(
            f"{one.kind} of {one.name!r} -> {one.to or one.content}, returned at {one.returned:.4f}, is lost"
        )


def _states_within(events: Sequence[Event], start: float, end: float) -> set[int]:
    """Return what a name led to at any time from `start` to `end`."""
    state = ABSENT
    found = set()
    for event in events:
        if event.at > end:
            break
        if event.at >= start:
            found.add(state)
        state = event.content
    found.add(state)
    return found


def check_linearizable(operations: Sequence[Operation]) -> None:
    """Raise Refused unless the operations on one name can have happened one after the other.

    An independent look: a search for an order (Wing and Gong) that knows nothing of the log. Of an operation
    nobody knows the outcome of, it may or may not have happened.
    """
    todo = [one for one in operations if one.outcome != "failed" and (one.kind != "load" or one.returned)]
    todo.sort(key=lambda one: one.called)
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[int, int]] = [(0, ABSENT)]
    needed = sum(1 << at for at, one in enumerate(todo) if one.outcome != "unknown")
    while stack:
        done, state = stack.pop()
        if done & needed == needed:
            return
        if (done, state) in seen:
            continue
        seen.add((done, state))
        left = [at for at in range(len(todo)) if not done >> at & 1]
        first_end = min(todo[at].until for at in left)
        for at in left:
            one = todo[at]
            if one.called > first_end:
                break
            after = _after(one, state)
            if after is not None:
                stack.append((done | 1 << at, after))
    names = {one.name for one in todo}
    raise Refused(f"no order of the {len(todo)} operations on {names} gives what was answered")


def _after(one: Operation, state: int) -> int | None:
    """Return the state behind `one`, None if it can't have happened in `state`."""
    if one.kind == "store":
        return one.content
    if one.kind == "remove":
        if one.outcome == "absent":
            return ABSENT if state == ABSENT else None
        return ABSENT if state != ABSENT or one.outcome == "unknown" else None
    found = ABSENT if one.outcome == "absent" else one.content
    return state if state == found else None
