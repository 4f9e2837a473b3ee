"""Real servers of messages for tests: Debian's RabbitMQ and Redis on free loopback ports, data in a folder.

Rule: every process is a child in a group of its own and ends with the block, RabbitMQ's port mapper, too.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

from free_ports import free_port, is_free

_RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_READY_S = 100.0
_SMALL = "+S 1:1 +SDio 1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none"


class Server:
    """One server whose data is in `place`: `start` it, `kill` it with SIGKILL, `start` it again."""

    greeting, reply = b"", b""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True)
        self.place = place
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] = (place / "server.log").open("ab")

    @property
    def url(self) -> str:
        """Where it is, as trivet's options say it."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Return what is run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return the variables that it is run with."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.place), "LANG": "C.UTF-8"}

    def start(self) -> None:
        """Start it; returns when it answers."""
        self._process = subprocess.Popen(
            self.command(), env=self.environment(), cwd=self.place, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip
        until_s = time.monotonic() + _READY_S
        while not self._answers():
            assert self._process.poll() is None, (self.place / "server.log").read_text()
            assert time.monotonic() < until_s, (self.place / "server.log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as link:
                link.sendall(self.greeting)
                return link.recv(64).startswith(self.reply)
        except OSError:
            return False

    def kill(self) -> None:
        """End it and everything it has started, at once."""
        if self._process is not None:
            processes = [*psutil.Process(self._process.pid).children(recursive=True), self._process]
            for one in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(processes[:-1], _READY_S)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, and start it on what it has kept."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Leave nothing running."""
        self.kill()
        self._log.close()


class RedisServer(Server):
    """Debian's redis-server; every write is on disk before it is answered."""

    greeting, reply = b"PING\r\n", b"-NOAUTH"
    password = "secret"

    @property
    def url(self) -> str:
        """See Server."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """See Server."""
        kept = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        where = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.place))
        return ["redis-server", *where, *kept, "--requirepass", self.password]


class RabbitServer(Server):
    """Debian's rabbitmq-server with a port mapper (epmd) of its own."""

    greeting, reply = b"AMQP\x00\x00\x09\x01", b"\x01"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._mapper_port, self._dist_port = free_port(), free_port()
        (place / "rabbitmq.conf").write_text("loopback_users.guest = true\nlog.console = true\n")
        (place / "plugins").write_text("[].\n")
        words = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "epmd",
            "-port",
            str(self._mapper_port),
            "-address",
            "127.0.0.1",
        ]
        self._mapper = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )

    def start(self) -> None:
        """See Server; with no port mapper there the server would start one that outlives it."""
        until_s = time.monotonic() + _READY_S
        while is_free(self._mapper_port):
            assert time.monotonic() < until_s
            time.sleep(0.01)
        super().start()

    @property
    def url(self) -> str:
        """See Server."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def command(self) -> list[str]:
        """See Server."""
        return [_RABBIT]

    def environment(self) -> dict[str, str]:
        """See Server."""
        return super().environment() | {
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"trivet{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.place / "data"),
            "RABBITMQ_LOG_BASE": str(self.place / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.place / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.place / "plugins"),
            "RABBITMQ_PID_FILE": str(self.place / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _SMALL,
        }

    def close(self) -> None:
        """See Server."""
        super().close()
        self._mapper.terminate()
        self._mapper.wait()


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run a server while the block runs."""
    try:
        server.start()
        yield server
    finally:
        server.close()
