"""What may go wrong in a whole drive, always less than what it promises to survive.

Rule: what a disk loses hits one bank at a time, until that bank was looked at and found whole again.
Rule: a disk that silently lost a write does not lose its power, too, and no other disk loses anything from
then on: a journal is read when its server starts, so nobody knows before, and two banks without a log are for
a person to judge.
Rule: processes die, hang and are cut off at any time; in the end everything comes back.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from whole_disk import BLOCK_BYTES
from whole_drive import BASES, WholeDrive
from whole_hands import Hands

FAULTS = (
    ("kill", 5), ("die_in_call", 6), ("hang", 3), ("partition", 4), ("slow", 2), ("keeper", 5), ("away", 2),
    ("power", 4), ("wipe", 3), ("blackout", 4), ("sync_fails", 2), ("flip", 5), ("lose_write", 2),
    ("astray", 2), ("tear_journal", 3), ("lose_file", 2), ("cut_clients", 4),
    ("full", 3), ("foreign", 4), ("spoil", 3), ("cut_off", 4),
    ("clock_jump", 2),
)  # fmt: skip
LOSSES = {"power", "wipe", "sync_fails", "flip", "lose_write", "astray", "tear_journal", "lose_file", "spoil"}


class Faults:
    """Draws faults for `drive` with files `names`; `is_whole(base)` looks whether a bank has all it should.

    `on_blackout` is called when all machines lost their power at once, `kinds` are faults and their weights.
    """

    def __init__(
        self,
        drive: WholeDrive,
        names: Sequence[bytes],
        is_whole: Callable[[int], bool],
        on_blackout: Callable[[], None],
        kinds: Sequence[tuple[str, int]] = FAULTS,
    ) -> None:
        self.drive = drive
        self.impaired: set[int] = set()
        self._lied: set[int] = set()
        self.counts: dict[str, int] = {}
        self.hands = Hands(drive)
        self._names = names
        self._is_whole = is_whole
        self._on_blackout = on_blackout
        self._kinds = kinds

    def look(self) -> None:
        """Let banks be hit again once those that were hit are whole again."""
        self.impaired = {base for base in self.impaired if base in self._lied or not self._is_whole(base)}

    def strike(self) -> None:
        """Let one fault happen, if it is allowed now."""
        rng = self.drive.rng
        names, weights = zip(*self._kinds, strict=True)
        (name,) = rng.choices(names, weights)
        base = rng.choice(BASES)
        if name in LOSSES:
            if self.impaired - {base}:
                return
            self.impaired.add(base)
        self.counts[name] = self.counts.get(name, 0) + 1
        self.drive.trace(f"fault: {name} {base}")
        getattr(self, f"_{name}")(base)

    def _port(self, base: int) -> int:
        return base + self.drive.rng.choice((0, 0, 0, 1))

    def _kill(self, base: int) -> None:
        self.drive.kill_server(self._port(base))

    def _die_in_call(self, base: int) -> None:
        self.drive.servers[self._port(base)].disk.crash_in = self.drive.rng.randrange(1, 12)

    def _hang(self, base: int) -> None:
        until = self.drive.loop.time() + self.drive.rng.uniform(0.2, 5.0)
        self.drive.servers[self._port(base)].hung_until = until

    def _partition(self, base: int) -> None:
        drive = self.drive
        until = drive.loop.time() + drive.rng.uniform(0.2, 8.0)
        for direction in drive.rng.choice((["to"], ["from"], ["to", "from"])):
            for port in drive.bank_ports(base):
                drive.network.blocked[str(port), direction] = until

    def _slow(self, base: int) -> None:
        drive = self.drive
        port = str(self._port(base))
        drive.network.delay_s[port] = drive.rng.uniform(0.005, 0.3)
        drive.loop.call_later(3.0, drive.network.delay_s.pop, port, None)

    def _keeper(self, base: int) -> None:
        self.drive.kill_keeper(self.drive.rng.uniform(0.0, 2.0))

    def _cut_off(self, base: int) -> None:
        """Nothing the keeper sends reaches a bank any more, and then it dies with what it had to send."""
        drive = self.drive
        seconds = drive.rng.uniform(0.1, 3.0)
        for port in drive.ports:
            drive.network.blocked[str(port), "to"] = drive.loop.time() + seconds
        keeper = drive.keepers
        drive.loop.call_later(
            seconds * 0.9, lambda: None if drive.keepers != keeper or drive.is_calm else drive.kill_keeper()
        )

    def _cut_clients(self, base: int) -> None:
        """The connection of a client breaks just when a change of it arrived."""
        self.drive.network.cuts_change = True

    def _away(self, base: int) -> None:
        """An acceptor's server stays away so long that its role moves."""
        self._stay_away(base, self.drive.rng.uniform(6.0, 12.0))

    def _stay_away(self, port: int, seconds: float) -> None:
        self.drive.kill_server(port)
        self.drive.away[port] = self.drive.now + seconds

    def _power(self, base: int) -> None:
        if base in self._lied:
            return
        for port in self.drive.bank_ports(base):
            self.drive.cut_power(port)

    def _wipe(self, base: int) -> None:
        ports = self.drive.bank_ports(base)
        for port in self.drive.rng.choice((ports, ports[:1], ports[1:])):
            self.drive.wipe(port)
            self.hands.forget(port)

    def _blackout(self, base: int) -> None:
        """All machines lose their power at once, right after somebody was told that something is safe."""
        self.drive.when_safe = self._cut_all

    def _cut_all(self) -> None:
        if self._lied or self.drive.is_calm:
            return
        if self.impaired:
            self.drive.when_safe = self._cut_all  # it waits for its moment
            return
        self.impaired.update(BASES)
        everything = self.drive.rng.random() < 0.5  # as a kernel does that had not begun to write
        for port in self.drive.ports:
            self.drive.cut_power(port, everything=everything)
        self.drive.kill_keeper()
        self._on_blackout()

    def _sync_fails(self, base: int) -> None:
        self.drive.servers[base].disk.fails_sync = True

    def _lose_write(self, base: int) -> None:
        self._lied.add(base)
        self.drive.servers[self._port(base)].disk.goes_wrong = "lost"

    def _astray(self, base: int) -> None:
        self._lied.add(base)
        self.drive.servers[self._port(base)].disk.goes_wrong = "astray"

    def _full(self, base: int) -> None:
        """A server's disk has no room for a while."""
        port = self._port(base)
        self._has_room(port, is_full=True)
        self.drive.loop.call_later(self.drive.rng.uniform(0.5, 4.0), self._has_room, port)

    def _has_room(self, port: int, *, is_full: bool = False) -> None:
        self.drive.servers[port].disk.is_full = is_full

    def _files(self, port: int, pattern: str) -> list[Path]:
        return sorted(path for path in self.drive.servers[port].own.rglob(pattern) if path.is_file())

    def _flip(self, base: int) -> None:
        """Bits change under a running server: in blobs or in the table of records."""
        rng = self.drive.rng
        port = self._port(base)
        files = self._files(port, "*.segment") + self._files(port, "records.sqlite*")
        for path in rng.sample(files, min(len(files), 2)):
            self._flip_in(path, rng.choice((1, 3, 20, 200)))

    def _flip_in(self, path: Path, times: int) -> None:
        """Change bits where something is stored: most of a segment are holes of what was removed."""
        rng, content = self.drive.rng, path.read_bytes()
        blocks = [at for at in range(0, len(content), BLOCK_BYTES) if any(content[at : at + BLOCK_BYTES])]
        with path.open("r+b") as file:
            for _ in range(times if blocks else 0):
                block = rng.choice(blocks)
                at = rng.randrange(block, min(block + BLOCK_BYTES, len(content)))
                file.seek(at)
                file.write(bytes([content[at] ^ 1 << rng.randrange(8)]))

    def _tear_journal(self, base: int) -> None:
        """A journal is damaged while its server is down."""
        self.drive.kill_server(base)
        for path in self._files(base, "journal/*")[-2:]:
            content = path.read_bytes().rstrip(b"\0")
            if content:
                at = self.drive.rng.randrange(max(len(content) - 2000, 0), len(content))
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(self.drive.rng.randbytes(self.drive.rng.choice((1, 40, 512))))

    def _lose_file(self, base: int) -> None:
        """A file of a server that is down is gone."""
        port = self._port(base)
        self.drive.kill_server(port)
        files = self._files(port, "*")
        if files:
            path = self.drive.rng.choice(files)
            self.drive.trace(f"{path.name} of server {port} is gone")
            path.unlink()
            if path.name.startswith("foreign"):
                self.hands.forget(port)

    def _clock_jump(self, base: int) -> None:
        """Somebody sets the machine's clock, to what is right or wrong."""
        rng = self.drive.rng
        ahead_s = rng.choice((0.0, rng.uniform(-10.0, 10.0), rng.uniform(-1e8, 1e8)))
        self.drive.trace(f"the wall clock is {ahead_s:.0f} s ahead")
        self.drive.wall_ahead_s = ahead_s

    def _foreign(self, base: int) -> None:
        """Somebody keeps something of their own in a server."""
        self.hands.put(self._port(base))

    def _spoil(self, base: int) -> None:
        """Somebody replaces what a server stores of a file."""
        self.hands.put(self._port(base), b"/" + self.drive.rng.choice(self._names))
