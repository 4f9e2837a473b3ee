"""What a running drive answers on its control sockets: the keeper's verbs and the supervisor's.

Rule: every result travels as one JSON object; a field is added, never renamed, because people read `--json`.
Rule: paths are text in the form of `wire/path_text.py`, so that any name survives JSON and a terminal.
Rule: lists are bounded by the sender (`FINDINGS_MAX`); what was left out is counted, never dropped silently.

Keeper verbs (DIR/keeper/keeper.sock), arguments -> result:

    status                            -> Status
    verify   {path, deep}             -> CheckReport      progress: Progress
    repair   {apply}                  -> CheckReport      progress: Progress
    repairs  {since_s, limit}         -> RepairHistory    since_s: seconds back from now, null = all
    scrub    {action, limit_bytes_s}  -> ScrubState       action: now | pause | resume | limit
    recover  {what, apply}            -> RecoverReport    see recover_messages.py
    refill   {limit_bytes_s}          -> RefillLimit      see refill_messages.py; null: only tell it
    quota    {action, path, limits}   -> QuotaTable       action: set | remove | list; limits: see QuotaUse
    follow   {pid, slot}              -> {}               said by the keeper that stands by, to the other
    shutdown                          -> {}               flushes, unmounts; the process then ends

Supervisor verbs (DIR/up.sock):

    children                          -> Children
    stop     {ports}                  -> Children         stopped on purpose: not started again
    start    {ports}                  -> Children
    replace  {ports, disk}            -> Replacement      servers of one bank begin anew, empty, below `disk`
    upstream                          -> Children         the upstreams begin anew: there is one more
    processes {series_s}              -> DriveFigures     see health_messages.py
    workers  {count}                  -> DriveFigures     so many workers of the door, by hand
    down                              -> {}               answered when everything has ended

Verbs of a door's worker (DIR/gateway/worker-N.sock):

    spread                            -> {}               its clients are asked to connect anew
    leave                             -> {}               it accepts no more, finishes, and ends
"""

from typing import Literal

import msgspec

from trivet.wire.refill_messages import Refill

FINDINGS_MAX = 10_000
#: How the note begins that says how far the loading of a volume is.
LOADING = "the volume is being loaded"
#: How long a leaving worker gives its clients to finish what they have begun.
LEAVING_S = 600.0
#: The note of a keeper that does not serve its door yet.
NOT_MOUNTED = "the folder is not mounted yet"
#: What the note of a keeper says whose folder shows what rolled back banks hold.
SHOWN_READ_ONLY = "shows the drive read-only"
#: How the note of a keeper begins that follows another one, and of one that would, but hears of none.
STANDS_BY = "this keeper stands by"
HEARS_OF_NONE = f"{STANDS_BY} and hears of none that leads"

ServerState = Literal["up", "hung", "down", "stopped", "joining", "full"]
Verdict = Literal["found", "would fix", "fixed", "cannot fix"]
ScrubAction = Literal["now", "pause", "resume", "limit"]


class ServerStatus(msgspec.Struct, frozen=True):
    """One server of a bank as the keeper sees it; `pid` and counts are None until it has answered once.

    `divergent` counts items of this server that are known to differ and are not yet repaired. Until what it
    holds was compared with what it ought to hold, since it came back, it is not `compared`. `host` is where
    it runs, None if the volume is all on one machine.
    """

    port: int
    state: ServerState
    pid: int | None = None
    blobs: int | None = None
    records: int | None = None
    divergent: int = 0
    foreign: int | None = None
    bytes: int | None = None
    compared: bool = True
    host: str | None = None


class BankStatus(msgspec.Struct, frozen=True):
    """One bank: its base port and its servers in order of their ports; `lags` says why commits don't wait."""

    base: int
    servers: list[ServerStatus]
    lags: str | None = None


class KeeperStatus(msgspec.Struct, frozen=True):
    """The place in the log of the keeper that leads; all but its `name` are None when no keeper answers."""

    pid: int | None = None
    epoch: int | None = None
    slot: int | None = None
    durable_slot: int | None = None
    name: str = "keeper"


class StandbyStatus(msgspec.Struct, frozen=True):
    """The keeper that stands by, as the one that leads knows it; `lag_slots` of what is durable it lacks.

    It "follows" once the log names it; it was heard of `heard_age_s` ago, and is "silent" after 3 s of that.
    It runs on `host`, None: where the one that leads does.
    """

    name: str
    state: Literal["joining", "follows", "silent"]
    pid: int
    slot: int
    lag_slots: int
    heard_age_s: float
    host: str | None = None


class ScrubState(msgspec.Struct, frozen=True):
    """Where the scrub stands; `done_bytes` of `total_bytes` read in this round, on all banks together.

    No byte was verified longer ago than `oldest_age_s`; before the first round has ended that counts from the
    keeper's start, and is the least it can be.
    """

    state: Literal["idle", "running", "paused"] = "idle"
    done_bytes: int = 0
    total_bytes: int = 0
    limit_bytes_s: int = 0
    bytes_s: float = 0.0
    finished_age_s: float | None = None
    oldest_age_s: float | None = None


class Traffic(msgspec.Struct, frozen=True):
    """What the keeper has served since it started; a reader of two of these derives rates."""

    operations: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Checks(msgspec.Struct, frozen=True):
    """What this keeper's word rests on, counted since it started.

    `votes` are the banks that elected it; of the copies of records and blobs that it read for people and for
    repairs, `copies_verified` were right. The others count what was compared, unasked and on request;
    `degraded_commits` were acknowledged while not all three banks kept up.
    """

    votes: int = 0
    copies_read: int = 0
    copies_verified: int = 0
    records_compared: int = 0
    blobs_compared: int = 0
    scrubbed_bytes: int = 0
    degraded_commits: int = 0


class Status(msgspec.Struct, frozen=True):
    """The whole drive at a glance; `healthy` only when every copy is whole and nothing is open.

    `notes` are sentences for people: what is not well and why ("possibly stale", "bank 9000 is degraded").
    `open_damage` counts findings that are not repaired yet, on all servers together. `gateway` is the HTTP
    door that `trivet up` looks after, None if it was left out; `standby` the keeper that stands by, if any.
    """

    volume: str
    healthy: bool
    banks: list[BankStatus]
    keeper: KeeperStatus = KeeperStatus()
    open_damage: int = 0
    repaired_total: int = 0
    refresh_age_s: float | None = None
    refresh_took_s: float | None = None
    notes: list[str] = []
    scrub: ScrubState = ScrubState()
    traffic: Traffic = Traffic()
    checks: Checks = Checks()
    gateway: "Child | None" = None
    refill: Refill | None = None
    standby: StandbyStatus | None = None


class Finding(msgspec.Struct, frozen=True):
    """One damaged, missing or outdated copy, and what became of it.

    `item` says what kind of thing it is (attributes, name, page, extent, blob, xattr, log, configuration,
    or record: what has no known key).
    `ranges` are (first byte, byte after the last) of the file; empty for what has no place in a file.
    `server` is the port that holds the bad copy, `source` the one the good copy came from.
    `at_s` is seconds since the epoch; `why` one clause for people ("checksum differs", "missing").
    `found_s` is when the keeper began to know of what is "fixed" at `at_s`, None where nobody noted it.
    `before` and `after` tell what the bad copy held and the repaired one holds: size and a short hash.
    """

    verdict: Verdict
    path: str
    item: str
    server: int
    why: str
    at_s: float
    source: int | None = None
    ranges: list[tuple[int, int]] = []
    found_s: float | None = None
    before: str | None = None
    after: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far long work is: `done` of `total` in `unit` ("bytes" or "items"); `total` 0 = not known yet."""

    step: str
    done: int
    total: int
    unit: Literal["bytes", "items"] = "items"


class CheckReport(msgspec.Struct, frozen=True):
    """What a verify or repair looked at and found; `complete` is False when banks were out of reach."""

    checked_records: int
    checked_blobs: int
    checked_bytes: int
    took_s: float
    findings: list[Finding] = []
    findings_left_out: int = 0
    complete: bool = True
    notes: list[str] = []


class RepairHistory(msgspec.Struct, frozen=True):
    """Repairs that were made, and damage that is `open` (not repaired yet); both oldest first."""

    repairs: list[Finding] = []
    repairs_left_out: int = 0
    open: list[Finding] = []
    open_left_out: int = 0


class Child(msgspec.Struct, frozen=True):
    """One process of the drive; `by_hand` when somebody else started what answers on the port.

    A worker that is `leaving` finishes what it has begun and ends.
    """

    role: Literal["bank", "keeper", "standby", "gateway", "upstream", "mount"]
    port: int | None
    pid: int | None
    state: Literal["up", "down", "stopped"]
    log: str
    by_hand: bool = False
    restarts: int = 0
    address: str | None = None
    leaving: bool = False


class Children(msgspec.Struct, frozen=True):
    """Every process the supervisor looks after."""

    children: list[Child]
    mount: str | None = None

    def door(self) -> Child | None:
        """Return the HTTP door's first worker, one that answers if there is any; None without a door."""
        workers = [child for child in self.children if child.role == "gateway"]
        up = (child for child in workers if child.state == "up" and not child.leaving)
        return next(up, workers[0] if workers else None)


class QuotaUse(msgspec.Struct, frozen=True):
    """What is used below a folder, and how much may be; a limit of None: as much as there is room for."""

    path: str
    size_bytes: int
    files: int
    size_limit_bytes: int | None
    files_limit: int | None


class QuotaTable(msgspec.Struct, frozen=True):
    """Every quota, by path."""

    quotas: list[QuotaUse]


class Nothing(msgspec.Struct, frozen=True):
    """The answer of a verb that tells nothing but that it is done."""
