"""What the live board shows, a frame at a time: the page, `trivet top` and the process that counts share it.

Rule: a frame is whole: whoever misses some goes on with the newest; there is nothing to catch up with.
Rule: lists are bounded by who makes the frame, so that a frame is small whatever the drive does.
Rule: `ShortFrame` names no path, client or user: it is what everybody may see.
"""

from typing import Any, Literal

import msgspec

from trivet.wire.control_messages import Finding, ScrubState, ServerStatus
from trivet.wire.health_messages import DriveFigures

Level = Literal["good", "warn", "bad"]
BankState = Literal["whole", "partly", "away"]


class Verdict(msgspec.Struct, frozen=True):
    """How the drive is in one `sentence`; `doing` says what is being done, or who has to do what."""

    level: Level
    sentence: str
    doing: str = ""


class BankTold(msgspec.Struct, frozen=True):
    """One bank; `state` counts servers that answer."""

    base: int
    state: BankState
    servers: list[ServerStatus]


class Healing(msgspec.Struct, frozen=True):
    """What is compared and mended; `repairs` are the newest first."""

    open_damage: int = 0
    repaired_total: int = 0
    refresh_age_s: float | None = None
    scrub: ScrubState = ScrubState()
    repairs: list[Finding] = []


class SectionTold(msgspec.Struct, frozen=True):
    """One section of the door's log over the last minute: `errors` are answers from 400 on."""

    name: str
    hits: int
    bytes: int
    errors: int


class AlertTold(msgspec.Struct, frozen=True):
    """An alert that was raised or cleared at `at_s`, in words."""

    at_s: float
    raised: bool
    text: str


class TrafficTold(msgspec.Struct, frozen=True):
    """The door's log: `per_second` hits of the last two minutes, all else of the last minute.

    `waiting_bytes` are written and not counted yet; `since_s` is the first request that was counted.
    """

    per_second: list[int] = []
    hits: int = 0
    bytes: int = 0
    client_errors: int = 0
    server_errors: int = 0
    p95_ms: float | None = None
    sections: list[SectionTold] = []
    alert: bool = False
    alerts: list[AlertTold] = []
    waiting_bytes: int = 0
    since_s: float | None = None


class PairTold(msgspec.Struct, frozen=True):
    """How often a client asked for a URL within the last minute; `loop` when that looks like a program."""

    client: str
    url: str
    hits: int
    loop: bool = False


class FloodTold(msgspec.Struct, frozen=True):
    """A finding of `trivet floods` over the last hours: `kind` and one line that says why."""

    kind: str
    why: str
    since: str
    requests: int


class FloodsTold(msgspec.Struct, frozen=True):
    """The busiest pairs, and what is found in the last `window_s` of the log."""

    pairs: list[PairTold] = []
    findings: list[FloodTold] = []
    window_s: float = 0.0


class MotionBar(msgspec.Struct, frozen=True):
    """A transfer or repair: when it began, and the seconds of its phases in their order."""

    run: str
    kind: str
    about: str
    begin_s: float
    total_s: float
    phases: list[tuple[str, float]]
    open: bool = False
    error: str = ""


class Moving(msgspec.Struct, frozen=True):
    """A transfer of the door that is not over: `done` of `total` bytes."""

    direction: Literal["upload", "download"]
    path: str
    user: str
    state: str
    done: int
    total: int | None
    touched_s: float


class UpstreamTold(msgspec.Struct, frozen=True):
    """A vendor in short: what was used of its quota, who waits, removals that wait for a word.

    `budgets` are (direction, bytes used today, bytes allowed or None).
    """

    name: str
    healthy: bool
    trouble: str
    requests: int
    requests_per_day: int | None
    spent_until_s: float | None
    outbox: int
    waiting: int
    parked: int
    budgets: list[tuple[str, int, int | None]] = []
    held_removals: int = 0


class Rates(msgspec.Struct, frozen=True):
    """What the keeper serves per second, whichever door it comes through."""

    operations_s: float = 0.0
    read_bytes_s: float = 0.0
    written_bytes_s: float = 0.0


class ShortFrame(msgspec.Struct, frozen=True, tag_field="kind", tag="short"):
    """What everybody sees."""

    at_s: float
    verdict: Verdict
    banks: list[BankTold] = []
    refresh_age_s: float | None = None


class BoardFrame(msgspec.Struct, frozen=True, tag_field="kind", tag="full"):
    """What administrators see; `look` are things worth a look that do not endanger the files.

    `figures` are the drive's processes, the machine and the steps of scaling; None without `trivet up`.
    """

    at_s: float
    verdict: Verdict
    look: list[str] = []
    banks: list[BankTold] = []
    healing: Healing = Healing()
    rates: Rates = Rates()
    traffic: TrafficTold = TrafficTold()
    floods: FloodsTold = FloodsTold()
    bars: list[MotionBar] = []
    moving: list[Moving] = []
    moving_left_out: int = 0
    upstreams: list[UpstreamTold] = []
    figures: DriveFigures | None = None
    notes: list[str] = []

    def short(self) -> ShortFrame:
        """Return what everybody may see of it."""
        banks = [BankTold(b.base, b.state, [ServerStatus(s.port, s.state) for s in b.servers])
                 for b in self.banks]  # fmt: skip
        return ShortFrame(self.at_s, self.verdict, banks, self.healing.refresh_age_s)


class FramePair(msgspec.Struct, frozen=True):
    """One line of the process that counts: the same moment for administrators and for everybody."""

    full: msgspec.Raw
    short: msgspec.Raw


def frame_line(frame: BoardFrame) -> bytes:
    """Return `frame` as a line for those who pass frames on without reading them."""
    told: dict[str, Any] = {"full": frame, "short": frame.short()}
    return msgspec.json.encode(told) + b"\n"
