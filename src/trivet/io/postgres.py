"""A PostgreSQL database by its URL: one connection, every wait on it bounded, failures told apart.

Rule: a password comes from the environment only (PGPASSWORD, ~/.pgpass); a URL that holds one is refused.
Rule: what a server that does not answer left undone is unknown; whoever asks again must be able to tell.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from trivet.errors import ConfigError, StoreAway

if TYPE_CHECKING:
    from psycopg import Connection

log = logging.getLogger(__name__)

ANSWER_TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 3
_IDLE_TRANSACTION_MS = 10_000
_SECRETS = ("password", "secret", "token")
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DatabasePlan:
    """What the URL `given` says: what libpq is told, and the schema that the volume's tables are in."""

    given: str
    conninfo: str
    schema: str

    @property
    def place(self) -> str:
        """Where it is, as people are told."""
        parts = urlsplit(self.given)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"


def database_plan(url: str) -> DatabasePlan:
    """Return what `url` (postgresql://USER@HOST:PORT/DATABASE?schema=NAME) says, or raise ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigError(f"--journal {parts.scheme}:...: write postgresql://USER@HOST:PORT/DATABASE")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.password is not None or any(word in name.lower() for name in options for word in _SECRETS):
        raise ConfigError(
            "--journal: a password does not belong into a URL, where others can read it; set PGPASSWORD "
            "in the environment or write it into ~/.pgpass"
        )
    if not parts.path.strip("/"):
        raise ConfigError("--journal: name the database, postgresql://USER@HOST:PORT/DATABASE")
    schema = options.pop("schema", "trivet")
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ConfigError(f"--journal: schema={schema}: lower-case letters, digits and _, 41 at most")
    told = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(options), ""))
    return DatabasePlan(url, told, schema)


class Database:
    """The database of `plan`, used by one thread at a time; `trouble` says why it can't be used now."""

    def __init__(self, plan: DatabasePlan) -> None:
        if find_spec("psycopg") is None:
            raise ConfigError("a journal in PostgreSQL needs `pip install trivet[engines]`")
        self.plan = plan
        self.trouble = ""
        self._turn = threading.Lock()
        self._connection: Connection[Any] | None = None

    def run(self, work: Callable[["Connection[Any]"], _T]) -> _T:
        """Return what `work` makes of the connection, in one transaction if it begins one; blocks.

        Raises StoreAway when the server does not answer within ANSWER_TIMEOUT_S a step, is away or has cut us
        off: what was asked is done or not. ConfigError when it answers that this may not be.
        """
        import psycopg

        read_only = psycopg.errors.ReadOnlySqlTransaction  # a replica that is not promoted yet
        with self._turn:
            try:
                connection = self._connected()
                result = work(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, read_only) as error:
                self._give_up()
                self.trouble = f"the database {self.plan.place} can't be used: {_first_line(error)}"
                raise StoreAway(self.trouble) from error
            except psycopg.errors.InsufficientPrivilege as error:
                self._give_up()
                raise ConfigError(
                    f"{self.plan.place}: this user has not the rights: {_first_line(error)}"
                ) from error
            except psycopg.DatabaseError as error:
                self._give_up()
                raise ConfigError(f"{self.plan.place}: {_first_line(error)}") from error
            except BaseException:
                self._give_up()
                raise
            self.trouble = ""
            return result

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._give_up()

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connected(self) -> "Connection[Any]":
        if self._connection is None or self._connection.closed:
            self._connection = _connect(self.plan)
        return self._connection


def _connect(plan: DatabasePlan) -> "Connection[Any]":
    import psycopg

    class Bounded(psycopg.Connection[Any]):
        """A connection on which nothing is waited for longer than ANSWER_TIMEOUT_S."""

        def wait(self, gen: Any, interval: float = 1.0, timeout: float | None = None) -> Any:
            return super().wait(gen, interval, ANSWER_TIMEOUT_S)

    connection = Bounded.connect(
        plan.conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, application_name="trivet"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_TRANSACTION_MS}")
            # A user or database whose default is "off" would be told of commits that a crash undoes.
            asked = "SELECT current_setting('synchronous_commit'), current_setting('fsync')"
            row = cursor.execute(asked).fetchone()
            assert row is not None, "settings have values"
            if row[0] == "off":
                cursor.execute("SET synchronous_commit = on")
            if row[1] == "off":
                raise ConfigError(f"{plan.place} runs with fsync = off: it would lose what it has confirmed")
    except BaseException:
        connection.close()
        raise
    return connection


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
