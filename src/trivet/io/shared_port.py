"""The port of the door, shared by the workers of one drive and by nobody else.

Rule: workers share a port by SO_REUSEPORT; a worker joins only a port that one of this drive holds, which
a lock on a file of the drive's folder tells.
"""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivet.errors import ConfigError

_BACKLOG = 2048


@contextmanager
def listening(host: str, port: int, folder: Path) -> Iterator[socket.socket]:
    """Yield a listening socket; ConfigError when another program, or another drive's door, has the port."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder / f"port-{port}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _refuse_strangers(host, port, number)
        fcntl.flock(number, fcntl.LOCK_SH)
        with _bound(host, port, shared=True) as sock:
            sock.listen(_BACKLOG)
            sock.setblocking(False)
            yield sock
    finally:
        os.close(number)


def _refuse_strangers(host: str, port: int, number: int) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    with _bound(host, port, shared=False):
        pass


@contextmanager
def _bound(host: str, port: int, *, shared: bool) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            why = "in use by another program" if error.errno == errno.EADDRINUSE else error.strerror
            raise ConfigError(f"can't listen on {host}:{port}: {why}; choose another --port") from error
        yield sock
