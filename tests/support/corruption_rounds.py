"""Rounds of the corruption matrix: spoil, read, wait for the repair, and look whether its report is true.

Rule: one good copy of each thing is always left, so whoever reads gets the right bytes; a loud error is
asked again and counted, wrong bytes fail at once.
Rule: a round is over when the tables of all banks are the same again, to the byte, and every copy is whole.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from corruption import KINDS, Case, StoredBlob, StoredRow, spoil_blob, spoil_row
from corruption_pool import PAIRS, File, Pool, blob_on, change_rows, rows_on, write_blob
from small_drive import ServedBank, SmallDrive
from trivet.bank.blob_header import read_header
from trivet.errors import NoMajority, ReplicaError
from trivet.keeper.findings import trace_of
from trivet.quorum.membership import CONFIG_KEY
from trivet.wire.blobs import root_of, sub_hashes
from trivet.wire.control_messages import Finding

#: Far more than it takes: a busy machine makes the keeper take banks for hung, and turn to them again.
MEND_WITHIN_S = 60.0
READ_WITHIN_S = 60.0
#: What no access has compared on all banks: nobody's name leads to it, or too many blobs are read at once.
REFRESH_ONLY = ("o", "c", "blob")
REASONS = ("checksum differs", "missing", "outdated", "of a history that was given up")
ITEMS = {
    b"i/": "attributes", b"d/": "name", b"e/": "extent", b"b/": "page", b"x/": "xattr", b"o/": "open file",
    b"c/": "configuration",
}  # fmt: skip


@dataclass
class Spoilt:
    """What one case did: on which servers, to which rows of whose, to which copies of blobs."""

    case: Case
    files: tuple[File, File]
    servers: list[ServedBank]
    rows: dict[bytes, File] = field(default_factory=dict)
    blobs: dict[int, File] = field(default_factory=dict)


class Rounds:
    """Runs cases over `pool`; `counts` say what was really done and seen."""

    def __init__(self, drive: SmallDrive, pool: Pool, rng: random.Random) -> None:
        self.drive = drive
        self.pool = pool
        self.counts: Counter[str] = Counter()
        self._rng = rng
        self._config: dict[int, list[StoredRow]] = {}

    async def run(self, cases: Sequence[Case], *, while_down: bool) -> None:
        """Spoil by all of `cases`, each on files of its own, while the drive serves or is down."""
        assert len(cases) <= PAIRS
        chosen = [await self._choose(number, case) for number, case in enumerate(cases)]
        await self.pool.settle()
        began_s = time.time()
        right = await self._whole_tables()
        if while_down:
            await self._stop()
        for spoilt in chosen:
            await self._spoil(spoilt, right)
        if while_down:
            await self._start()
        await asyncio.gather(*(self._read(file) for spoilt in chosen for file in spoilt.files))
        await self._mended(chosen, right)
        await self._look_at_report(chosen, right, began_s)
        for spoilt in chosen:
            for file in spoilt.files:
                if file.handle is not None:
                    await self.drive.loaded.volume.release(file.handle)
            self.counts[spoilt.case.kind] += 1
        self.counts["cases"] += len(chosen)

    async def _choose(self, number: int, case: Case) -> Spoilt:
        size = "large" if case.kind in ("e", "blob") else "small"
        if case.kind in ("i", "d", "x"):
            size = self._rng.choice(("small", "large"))
        files = self.pool.files[size][number], self.pool.files[size][number + PAIRS]
        if case.kind == "o":
            names = (b"open%d" % number, b"other%d" % number)
            files = await self.pool.open_unlinked(names[0]), await self.pool.open_unlinked(names[1])
        return Spoilt(case, files, self._rng.sample(self.drive.servers, 1 if case.spread == "one" else 2))

    async def _whole_tables(self) -> dict[bytes, StoredRow]:
        """Return the rows of the banks, which must all be the same, valid, and stand where the log says."""
        tables = [await rows_on(server) for server in self.drive.servers]
        for key in {key for table in tables for key in table if key != CONFIG_KEY}:
            rows = [table.get(key) for table in tables]
            assert rows.count(rows[0]) == 3, f"the row of {key!r} differs: {rows}"
        slot_of = self.drive.loaded.journal.slot_of
        assert all(row[1] == slot_of(key) for key, row in tables[0].items() if key != CONFIG_KEY)
        self.counts["rows found identical"] += len(tables[0])
        return tables[0]

    # -- spoiling

    async def _spoil(self, spoilt: Spoilt, right: dict[bytes, StoredRow]) -> None:
        case = spoilt.case
        for turn, server in enumerate(spoilt.servers):
            if case.kind == "blob":
                changed = self._spoil_blob(spoilt, server, turn)
            else:
                changed = await self._spoil_row(spoilt, server, turn, right)
            assert changed, f"nothing was spoilt by {case}"
            self.counts["copies spoilt"] += changed

    async def _spoil_row(
        self, spoilt: Spoilt, server: ServedBank, turn: int, right: dict[bytes, StoredRow]
    ) -> int:
        case, (file, other) = spoilt.case, spoilt.files
        key = CONFIG_KEY if case.kind == "c" else file.keys[case.kind]
        partner = file.keys["d"] if case.kind == "c" else other.keys[case.kind]
        older = self.pool.older.get(key, ())
        changed = spoil_row(case, case.rng(turn), right[key], right[partner], older)
        await change_rows(server, changed)
        wrong = [(at, row) for at, row in changed if right.get(at) != row]
        owners = {key: file, partner: file if case.kind == "c" else other}
        spoilt.rows |= {at: owners[at] for at, _ in wrong if at in owners}
        return len(wrong)

    def _spoil_blob(self, spoilt: Spoilt, server: ServedBank, turn: int) -> int:
        file, other = spoilt.files
        copies = [blob_on(server, one.blob) for one in spoilt.files]
        assert isinstance(copies[0], StoredBlob)
        assert isinstance(copies[1], StoredBlob)
        key = self.drive.folder.read_key()
        changed = spoil_blob(spoilt.case, spoilt.case.rng(turn), copies[0], copies[1], key)
        for copy, stored in changed:
            assert stored != copy.stored
            write_blob(server, copy, stored)
            spoilt.blobs[copy.name] = file if copy.name == file.blob else other
        return len(changed)

    async def _stop(self) -> None:
        await self.drive.keeper.close()
        for server in self.drive.servers:
            await server.hang_up(clean=True)

    async def _start(self) -> None:
        for server in self.drive.servers:
            await server.listen()
        await self.drive.begin_keeper()

    # -- what must be true

    async def _read(self, file: File) -> None:
        """Read it: right, or loud for a moment."""
        async with asyncio.timeout(READ_WITHIN_S):
            while True:
                try:
                    found = await self.pool.read(file)
                except (ReplicaError, NoMajority):
                    self.counts["loud errors"] += 1
                    await asyncio.sleep(0.05)
                    continue
                assert found == (file.body, file.body[:40], 0o600), f"wrong bytes in {file.path}"
                self.counts["files read right"] += 1
                return

    async def _mended(self, chosen: Sequence[Spoilt], right: dict[bytes, StoredRow]) -> None:
        """Wait until what was read is whole again, unasked; then let the refresh see to the rest."""
        until = time.monotonic() + MEND_WITHIN_S
        on_access = [spoilt for spoilt in chosen if spoilt.case.kind not in REFRESH_ONLY]
        while (left := await self._left(on_access, right)) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert not left, f"read, and not mended within {MEND_WITHIN_S} s: {left[:3]}"
        async with asyncio.timeout(READ_WITHIN_S):
            while True:  # an anchor may be under way that writes a row anew, or a link break
                with contextlib.suppress(ReplicaError, NoMajority):
                    await self._refresh()
                    if not await self._left(chosen, right):
                        break
                await asyncio.sleep(0.05)
        await self._whole_tables()
        assert self.drive.loaded.queue.open == {}

    async def _refresh(self) -> None:
        refresher = self.drive.loaded.refresher
        refresher.scrub_limit_bytes_s = 1 << 30
        await refresher.refresh()
        await refresher.scrub(READ_WITHIN_S)
        await self.pool.settle()

    async def _left(self, chosen: Sequence[Spoilt], right: dict[bytes, StoredRow]) -> list[str]:
        left = []
        for server in self.drive.servers:
            table = await rows_on(server)
            for spoilt in (one for one in chosen if server in one.servers):
                wrong = [key for key in spoilt.rows if not self._is_right(key, table, right)]
                wrong += [b"%d" % name for name, file in spoilt.blobs.items() if not is_whole(server, file)]
                if wrong:
                    left.append(f"{spoilt.case} of {wrong} on server {server.port}")
        return left

    def _is_right(self, key: bytes, table: dict[bytes, StoredRow], right: dict[bytes, StoredRow]) -> bool:
        if key != CONFIG_KEY:
            return table.get(key) == right[key]
        row = table.get(key)  # each anchor writes it anew
        return row is not None and row[1] == self.drive.loaded.journal.slot_of(key)

    async def _look_at_report(
        self, chosen: Sequence[Spoilt], right: dict[bytes, StoredRow], began_s: float
    ) -> None:
        """Hold the history of repairs against what was done: each copy told once or more, and truly."""
        queue = self.drive.loaded.queue  # it writes down what it mended a moment later
        await self.drive.until(lambda: not queue.waiting and queue.refill.told(0.0) is None)
        told = await self.drive.loaded.history.since(began_s)
        assert told.repairs_left_out == 0
        ports = {server.port for server in self.drive.servers}
        for spoilt in chosen:
            for server in spoilt.servers:
                for key, file in spoilt.rows.items():
                    path = "(configuration)" if key == CONFIG_KEY else file.path
                    found = self._find(told.repairs, server, path, ITEMS[key[:2]], ports)
                    assert key == CONFIG_KEY or trace_of(right[key][2]) in [one.after for one in found]
                for file in spoilt.blobs.values():
                    found = self._find(told.repairs, server, file.path, "blob", ports)
                    assert {one.after for one in found} == {trace_of(file.body)}
                    assert all(one.before for one in found)

    def _find(
        self, repairs: Sequence[Finding], server: ServedBank, path: str, item: str, ports: set[int]
    ) -> list[Finding]:
        found = [one for one in repairs if (one.server, one.path, one.item) == (server.port, path, item)]
        if item == "configuration" and not found:
            return []  # the next anchor put it right before anybody looked
        assert found, f"no repair tells of {item} of {path} on server {server.port}"
        for one in found:
            assert one.verdict == "fixed"
            assert one.why.startswith(REASONS), one
            assert one.source in ports - {server.port} | {None}, one
            assert one.found_s is not None
            assert one.found_s <= one.at_s <= time.time()
            assert bool(one.ranges) == (item in ("page", "extent", "blob")), one
        # A row whose key was hit is told of twice: where it is missing, and where it should be gone.
        places = {first for one in found for first, _ in one.ranges}
        assert 0 in places or not places, found
        self.counts["repairs told truly"] += len(found)
        return found


def is_whole(server: ServedBank, file: File) -> bool:
    """Tell whether the copy of a file's blob on a server is, with its header, what it must be."""
    copy = blob_on(server, file.blob)
    if copy is None:
        return False
    header = read_header(server.key, copy.segment, copy.offset, copy.stored)
    is_right = header is not None and header.root == root_of(len(file.body), sub_hashes(file.body))
    return is_right and copy.stored[: copy.end].endswith(file.body)


def assert_checked(counts: Counter[str], cases: int) -> None:
    """Assert that nothing rests on luck: each kind was spoilt, read, mended and told."""
    assert counts["cases"] == cases
    assert all(counts[kind] for kind in KINDS)
    assert counts["copies spoilt"] >= cases
    assert counts["files read right"] >= 2 * cases
    assert counts["repairs told truly"] >= cases * 0.9
    assert counts["rows found identical"] > 0
