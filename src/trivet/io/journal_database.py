"""The tables of a volume whose journal is in PostgreSQL, and the fence that says who may write to them.

Rule: who writes names the token it was given; in the one transaction that writes, the fence's row must still
hold that token, or nothing is written.
Rule: only a person's `trivet up` takes the fence from somebody (`claim`); a server that was started again may
go on under a claim that still stands, never take one back.
"""

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from trivet.errors import ConfigError, StoreAway
from trivet.io.postgres import Database, DatabasePlan, database_plan
from trivet.io.volume_folder import VolumeConfig, VolumeFolder, write_synced
from trivet.quorum.acceptor_commands import AcceptorMeta
from trivet.wire.entries import NO_EPOCH, Epoch

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

FORMAT = 1
#: The tables, in a schema of their own; `fence` has one row that every commit updates.
_TABLES = (
    "CREATE SCHEMA IF NOT EXISTS {0}",
    "CREATE TABLE IF NOT EXISTS {0}.volume (one boolean PRIMARY KEY DEFAULT true CHECK (one), "
    "format integer NOT NULL, volume text NOT NULL, key bytea NOT NULL, blobs text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {0}.fence (one boolean PRIMARY KEY DEFAULT true CHECK (one), "
    "holder text NOT NULL, host text NOT NULL, since timestamptz NOT NULL, reign bigint NOT NULL, "
    "token text NOT NULL, head bigint NOT NULL, meta bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {0}.journal (slot bigint PRIMARY KEY, entry bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {0}.records (key bytea PRIMARY KEY, slot bigint NOT NULL, "
    "value bytea NOT NULL, mac bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS {0}.dead_objects (path text PRIMARY KEY)",
    "ALTER TABLE {0}.journal ALTER COLUMN entry SET STORAGE EXTERNAL",
)


class Claim(msgspec.Struct, frozen=True):
    """What a state folder knows of its hold on the volume: its own name `holder`, the `reign` it began."""

    holder: str
    reign: int = 0


@dataclass(frozen=True, slots=True)
class StoredVolume:
    """What the database says of its volume: `key` is the volume key, `blobs` the URL of the object store."""

    volume: str
    key: bytes
    blobs: str


def encode_meta(meta: AcceptorMeta) -> bytes:
    """Return `meta` as it is stored."""
    return msgspec.msgpack.encode(meta)


def decode_meta(stored: bytes) -> AcceptorMeta:
    """Return what `encode_meta` stored."""
    return msgspec.msgpack.decode(stored, type=AcceptorMeta)


def read_claim(folder: VolumeFolder) -> Claim:
    """Return the claim of a state folder; one that never had any gets a name that nobody else has."""
    try:
        return msgspec.json.decode((folder.path / "claim.json").read_bytes(), type=Claim)
    except FileNotFoundError:
        return Claim(os.urandom(8).hex())
    except msgspec.DecodeError as error:
        raise ConfigError(f"{folder.path}/claim.json can't be read: {error}") from error


def find_or_make(plan: DatabasePlan, blobs: str | None, make: StoredVolume) -> StoredVolume:
    """Return the volume in the database of `plan`, or put `make` there (with `blobs`); blocks.

    Raises ConfigError when that can't be: the server is away, has no such database, gives no rights, or
    holds tables of another version of trivet.
    """
    if blobs is None and _find(plan) is None:
        raise ConfigError("a new volume with its journal in a database needs --blobs URL for what files hold")
    volume: StoredVolume = _run(plan, lambda connection: _make(connection, plan.schema, make))
    return volume


def _run(plan: DatabasePlan, work: Any) -> Any:
    """Do `work` once; a server that is away is what a person must see to."""
    database = Database(plan)
    try:
        return database.run(work)
    except StoreAway as error:
        raise ConfigError(str(error)) from error
    finally:
        database.close()


def _find(plan: DatabasePlan) -> StoredVolume | None:
    def look(connection: "Connection[Any]") -> StoredVolume | None:
        with connection.cursor() as cursor:
            return _stored(cursor, plan.schema)

    found: StoredVolume | None = _run(plan, look)
    return found


def _stored(cursor: "Cursor[Any]", schema: str) -> StoredVolume | None:
    """Return the volume in `schema`, None if there is none; ConfigError for tables of another version."""
    cursor.execute("SELECT to_regclass(%s)", (f"{schema}.volume",))
    row = cursor.fetchone()
    if row is None or row[0] is None:
        return None
    cursor.execute(f"SELECT * FROM {schema}.volume")
    names = [column.name for column in cursor.description or ()]
    row = cursor.fetchone()
    if row is None:
        return None
    told = dict(zip(names, row, strict=True))
    if told.get("format") != FORMAT:
        raise ConfigError(
            f"the tables in schema {schema} have format {told.get('format')}, this trivet knows {FORMAT}; "
            "use the trivet that made them, or another schema (?schema=NAME)"
        )
    return StoredVolume(told["volume"], bytes(told["key"]), told["blobs"])


def _make(connection: "Connection[Any]", schema: str, volume: StoredVolume) -> StoredVolume:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"trivet {schema}",))
        found = _stored(cursor, schema)
        if found is not None:
            return found
        for table in _TABLES:
            cursor.execute(table.format(schema))
        cursor.execute(
            f"INSERT INTO {schema}.volume VALUES (true, %s, %s, %s, %s)",
            (FORMAT, volume.volume, volume.key, volume.blobs),
        )
        meta = AcceptorMeta(volume.volume, 0, os.urandom(8).hex(), "", "voter")
        cursor.execute(
            f"INSERT INTO {schema}.fence VALUES (true, '', '', now(), 0, '', 0, %s)", (encode_meta(meta),)
        )
    return volume


def claim(folder: VolumeFolder, config: VolumeConfig) -> None:
    """Make the state folder the holder of its volume, whoever held it; blocks.

    Another holder's keeper hears of an epoch above its own and ends its reign. Raises ConfigError when the
    database can't be had or holds another volume.
    """
    plan = database_plan(config.journal)
    own = read_claim(folder)

    def take(connection: "Connection[Any]") -> Claim:
        with connection.transaction(), connection.cursor() as cursor:
            found = _stored(cursor, plan.schema)
            if found is None or found.volume != config.volume:
                what = f"volume {found.volume}" if found else "no volume"
                raise ConfigError(
                    f"{plan.place} (schema {plan.schema}) holds {what}, {folder.path} is of volume "
                    f"{config.volume}: name the database it belongs to with --journal, or another --state"
                )
            cursor.execute(f"SELECT holder, reign, meta FROM {plan.schema}.fence FOR UPDATE")
            row = cursor.fetchone()
            assert row is not None, "the fence is made with the volume"
            holder, reign, meta = row[0], row[1], decode_meta(row[2])
            if holder == own.holder:
                return Claim(own.holder, reign)
            if holder:
                promised = Epoch(meta.promised.number + 1, int.from_bytes(os.urandom(8), "big"))
                meta = msgspec.structs.replace(meta, promised=promised)
            assert holder or meta.promised == NO_EPOCH
            cursor.execute(
                f"UPDATE {plan.schema}.fence SET holder = %s, host = %s, since = now(), reign = %s, "
                "token = '', meta = %s",
                (own.holder, socket.gethostname(), reign + 1, encode_meta(meta)),
            )
            return Claim(own.holder, reign + 1)

    write_synced(folder.path / "claim.json", msgspec.json.encode(own))
    taken: Claim = _run(plan, take)
    write_synced(folder.path / "claim.json", msgspec.json.encode(taken))
