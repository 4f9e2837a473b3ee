"""Unix sockets that lie in a state folder: only their owner may open them, however deep the folder lies."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATH_BYTES = 100


def bound_socket(path: Path) -> socket.socket:
    """Return a socket bound to `path`, not listening yet, open to its owner alone (mode 0600)."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_name(path) as name:
            listening.bind(name)
        path.chmod(0o600)  # nobody could connect before: it does not listen
    except OSError:
        listening.close()
        raise
    return listening


@contextmanager
def socket_name(path: Path) -> Iterator[str]:
    """Give a name for `path` that fits a socket address (108 bytes) however deep its folder lies."""
    if len(os.fsencode(path)) < _PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
