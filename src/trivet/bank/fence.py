"""A server's hold on the volume in the database: every change names its token, and is done or refused whole.

Rule: what was asked of a database that did not answer is asked again until it says whether it was done;
nobody is told anything meanwhile.
Rule: once another has the fence nothing is written any more, by this process or any after it.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from trivet.bank.overlay import Change
from trivet.errors import ReplicaError, StoreAway
from trivet.io.journal_database import Claim, decode_meta, encode_meta
from trivet.io.postgres import Database
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.wire.entries import Epoch
from trivet.wire.records import Row, record_mac

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

log = logging.getLogger(__name__)

_AGAIN_S = 0.2
_BATCH_ROWS = 2000
_BATCH_BYTES = 8 << 20
_T = TypeVar("_T")


class FenceLost(ReplicaError):
    """Another server has the volume now, or the database is not what it was."""


class Held(NamedTuple):
    """What the database says at the start: the acceptor's state, the head, who wrote last, the entries."""

    meta: AcceptorMeta
    head: int
    last_token: str
    entries: list[bytes]


class Fence:
    """Writes to the tables in `database` under the `claim` of this state folder; all of it blocks.

    `token` is this process's alone; `lost` says why it may not write any more (empty: it may), `promised` is
    the epoch of who may.
    """

    def __init__(self, database: Database, claim: Claim, volume_key: bytes) -> None:
        self._database = database
        self._claim = claim
        self._key = volume_key
        self.token = os.urandom(16).hex()
        self._schema = database.plan.schema
        self._commit = (
            f"WITH held AS (UPDATE {self._schema}.fence SET head = %(to)s "
            "WHERE token = %(token)s AND head = %(from)s RETURNING 1), "
            f"written AS (INSERT INTO {self._schema}.journal SELECT %(from)s + at, entry FROM held, "
            "unnest(%(entries)s::bytea[]) WITH ORDINALITY AS new (entry, at)) SELECT count(*) FROM held"
        )
        self.lost = ""
        self.promised = Epoch(0, 0)

    @property
    def trouble(self) -> str:
        """Why nothing can be written now, empty if it can."""
        return self.lost or self._database.trouble

    def begin(self) -> Held:
        """Take the fence for this process if its folder still holds the claim; return what is there."""

        def take(connection: "Connection[Any]") -> Held:
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                cursor.execute(
                    f"SELECT holder, reign, token, head, meta FROM {self._schema}.fence FOR UPDATE"
                )
                holder, reign, token, head, meta = _only(cursor)
                if (holder, reign) != (self._claim.holder, self._claim.reign):
                    self._note_lost(cursor)
                else:
                    cursor.execute(f"UPDATE {self._schema}.fence SET token = %s", (self.token,))
                cursor.execute(f"SELECT entry FROM {self._schema}.journal ORDER BY slot")
                return Held(decode_meta(meta), head, token, [bytes(row[0]) for row in cursor])

        return self._until_answered(lambda: self._database.run(take))

    def commit(self, after: int, raws: Sequence[bytes]) -> None:
        """Write the entries `raws` behind slot `after`, all or none; without any only ask for the fence.

        Raises FenceLost.
        """
        named = {"from": after, "to": after + len(raws), "token": self.token, "entries": list(raws)}

        def write(connection: "Connection[Any]") -> None:
            with connection.cursor(binary=True) as cursor:
                cursor.execute(self._commit, named, prepare=True)
                if _only(cursor)[0] == 1:
                    return
                cursor.execute(f"SELECT token, head FROM {self._schema}.fence")
                if _only(cursor) != (self.token, after + len(raws)) or not raws:
                    self._note_lost(cursor)  # else an earlier try was done after all

        self._until_answered(lambda: self._guarded(write))

    def store(
        self,
        meta: AcceptorMeta,
        *,
        above: int | None = None,
        raws: Sequence[bytes] = (),
        trimmed: int = 0,
        changes: Mapping[bytes, Change] | None = None,
    ) -> None:
        """Store `meta`, and in the same step what changes the log with it; raises FenceLost.

        With `above` the entries `raws` take the place of all behind that slot; with `trimmed` those up to
        that slot go, and `changes` (the last of each key) are what they had made of the records.
        """

        def write(connection: "Connection[Any]") -> None:
            with connection.transaction(), connection.cursor(binary=True) as cursor:
                head = "head" if above is None else str(above + len(raws))
                cursor.execute(
                    f"UPDATE {self._schema}.fence SET meta = %s, head = {head} WHERE token = %s",
                    (encode_meta(meta), self.token),
                )
                if cursor.rowcount != 1:
                    self._note_lost(cursor)
                    return
                if above is not None:
                    cursor.execute(f"DELETE FROM {self._schema}.journal WHERE slot > %s", (above,))
                    cursor.execute(
                        f"INSERT INTO {self._schema}.journal SELECT %s + at, entry "
                        "FROM unnest(%s::bytea[]) WITH ORDINALITY AS new (entry, at)",
                        (above, list(raws)),
                    )
                if trimmed:
                    self._put_rows(cursor, changes or {})
                    cursor.execute(f"DELETE FROM {self._schema}.journal WHERE slot <= %s", (trimmed,))

        self._until_answered(lambda: self._guarded(write))

    def _put_rows(self, cursor: "Cursor[Any]", changes: Mapping[bytes, Change]) -> None:
        table = f"{self._schema}.records"
        for part in _parts(changes):
            puts = [(key, c.slot, c.value) for key, c in part if c.value is not None]
            gone = [key for key, c in part if c.value is None]
            macs = [record_mac(self._key, key, slot, value) for key, slot, value in puts]
            cursor.execute(
                f"INSERT INTO {table} SELECT * FROM "
                "unnest(%s::bytea[], %s::bigint[], %s::bytea[], %s::bytea[]) "
                "ON CONFLICT (key) DO UPDATE SET slot = excluded.slot, value = excluded.value, "
                "mac = excluded.mac",
                ([p[0] for p in puts], [p[1] for p in puts], [p[2] for p in puts], macs),
            )
            cursor.execute(f"DELETE FROM {table} WHERE key = ANY (%s::bytea[])", (gone,))

    def rows(self) -> Iterator[list[Row]]:
        """Yield all records as the trimmed part of the journal left them, in parts."""
        last = b""
        query = (
            f"SELECT key, slot, value, mac FROM {self._schema}.records WHERE key > %s ORDER BY key LIMIT %s"
        )

        def read(connection: "Connection[Any]") -> list[Row]:
            with connection.cursor(binary=True) as cursor:
                cursor.execute(query, (last, _BATCH_ROWS))
                return [Row(bytes(k), slot, bytes(value), bytes(mac)) for k, slot, value, mac in cursor]

        while rows := self._until_answered(lambda: self._database.run(read)):
            yield rows
            last = rows[-1].key

    def dead_objects(self) -> list[str]:
        """Return the objects that were to be deleted and may be there still."""

        def read(connection: "Connection[Any]") -> list[str]:
            with connection.cursor() as cursor:
                return [row[0] for row in cursor.execute(f"SELECT path FROM {self._schema}.dead_objects")]

        return self._until_answered(lambda: self._database.run(read))

    def note_dead(self, path: str, *, is_gone: bool) -> None:
        """Write down that nobody may rely on the object `path` any more, or that it is gone; FenceLost."""
        table = f"{self._schema}.dead_objects"

        def write(connection: "Connection[Any]") -> None:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute(
                    f"SELECT 1 FROM {self._schema}.fence WHERE token = %s FOR SHARE", (self.token,)
                )
                if cursor.fetchone() is None:
                    self._note_lost(cursor)
                elif is_gone:
                    cursor.execute(f"DELETE FROM {table} WHERE path = %s", (path,))
                else:
                    cursor.execute(f"INSERT INTO {table} VALUES (%s) ON CONFLICT DO NOTHING", (path,))

        self._until_answered(lambda: self._guarded(write))

    def _guarded(self, write: Callable[["Connection[Any]"], None]) -> None:
        if not self.lost:
            self._database.run(write)
        if self.lost:
            raise FenceLost(self.lost)

    def _note_lost(self, cursor: "Cursor[Any]") -> None:
        cursor.execute(f"SELECT holder, reign, host, since::text, meta FROM {self._schema}.fence")
        holder, reign, host, since, meta = _only(cursor)
        self.promised = decode_meta(meta).promised
        if (holder, reign) == (self._claim.holder, self._claim.reign):
            self.lost = "the journal in the database was changed by somebody else: `trivet up` begins anew"
        else:
            self.lost = (
                f"{host} took this volume over at {since[:19]}; `trivet down` ends what is left of it here, "
                "`trivet up` after that takes it back"
            )
        log.error("%s", self.lost)

    def _until_answered(self, ask: Callable[[], _T]) -> _T:
        told = ""
        while True:
            try:
                return ask()
            except StoreAway as error:
                if str(error) != told:
                    log.warning("%s", error)
                    told = str(error)
                time.sleep(_AGAIN_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._database.close()


def _only(cursor: "Cursor[Any]") -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None, "the fence has one row"
    return tuple(row)


def _parts(changes: Mapping[bytes, Change]) -> Iterator[list[tuple[bytes, Change]]]:
    part: list[tuple[bytes, Change]] = []
    size = 0
    for key, change in changes.items():
        part.append((key, change))
        size += len(key) + len(change.value or b"")
        if len(part) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
