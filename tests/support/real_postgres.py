"""A real PostgreSQL in a folder of its own on a free loopback port, run by an account without rights.

Rule: the cluster of the package and its service are never read, changed or started.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import psycopg
import pytest

from free_ports import free_port

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_DEADLINE_S = 30
_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 32MB
max_connections = 40
logging_collector = off
autovacuum_naptime = 5s
"""


def skip_without_postgres() -> None:
    """Skip the test on a machine without PostgreSQL."""
    if not _BINARIES:
        pytest.skip("PostgreSQL is not installed: `scripts/setup.sh --for-tests`")


class RealPostgres:
    """A server in `folder`; `url` leads to its database `drives`, as the user `trivet`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the database."""
        return f"postgresql://trivet@127.0.0.1:{self.port}/drives"

    def make(self) -> None:
        """Make the cluster and the database."""
        data = self.folder / "data"
        self._run("initdb", "-D", str(data), "-U", "admin", "-A", "trust", "-E", "UTF8", "--no-instructions")
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}port = {self.port}\n")
        self.start()
        with self.asked("admin", "postgres") as connection:
            connection.execute("CREATE ROLE trivet LOGIN")
            connection.execute("CREATE DATABASE drives OWNER trivet")

    def start(self) -> None:
        """Start it and wait until it answers."""
        data = self.folder / "data"
        with (self.folder / "postgres.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*_account(), str(_BINARIES[-1] / "postgres"), "-D", str(data)], stdout=output, stderr=output
            )
        until = time.monotonic() + _DEADLINE_S
        while True:
            try:
                self.asked("admin", "postgres").close()
            except psycopg.OperationalError:
                log = (self.folder / "postgres.log").read_text()[-2000:]
                assert time.monotonic() < until, f"PostgreSQL does not answer:\n{log}"
                time.sleep(0.05)
            else:
                return

    def asked(
        self, user: str = "trivet", database: str = "drives"
    ) -> "psycopg.Connection[tuple[object, ...]]":
        """Return a connection for the test's own questions."""
        return psycopg.connect(f"postgresql://{user}@127.0.0.1:{self.port}/{database}", autocommit=True)

    def number(self, query: str) -> int:
        """Return the one number that `query` asks for."""
        with self.asked() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        assert isinstance(row[0], int)
        return row[0]

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would."""
        assert self._process is not None
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(_DEADLINE_S)
        until = time.monotonic() + _DEADLINE_S
        while any(Path(f"/proc/{pid}").exists() for pid in self._known) and time.monotonic() < until:
            time.sleep(0.02)
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Have every process of it stand still, with all connections open."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        """Return the postmaster and its children."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        self._known = [parent, *map(int, children)]
        return self._known

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_DEADLINE_S)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*_account(), str(_BINARIES[-1] / program), *words], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr


def _account() -> list[str]:
    """Return how to become the account that PostgreSQL may run as: never root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def running_postgres() -> Iterator[RealPostgres]:
    """Run a server as long as this lasts, then remove all of it."""
    skip_without_postgres()
    folder = Path(mkdtemp(prefix="trivet-postgres-"))
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    server = RealPostgres(folder)
    try:
        server.make()
        yield server
    finally:
        server.close()
        shutil.rmtree(folder)
