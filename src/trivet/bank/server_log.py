"""The log files of one server: what happened, and one line for each call through the XML-RPC door.

Rule: both are bounded: at 8 MiB a file is set aside in place of the one set aside before.
"""

import logging
import logging.handlers
from pathlib import Path

FILE_BYTES = 8 << 20
SERVER_LOG = "server.log"
ACCESS_LOG = "access.log"
access = logging.getLogger("trivet.bank.access")


def log_to(folder: Path) -> None:
    """Send this process's log to `folder`/server.log, lines of `access` to `folder`/access.log."""
    logging.raiseExceptions = False  # a full disk must not fill stderr as well
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(_handler(folder / SERVER_LOG, "%(asctime)s %(levelname)s %(message)s"))
    last_words = logging.StreamHandler()
    last_words.setLevel(logging.CRITICAL)
    root.addHandler(last_words)
    access.addHandler(_handler(folder / ACCESS_LOG, "%(message)s"))
    access.propagate = False


def _handler(path: Path, form: str) -> logging.Handler:
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=FILE_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
    )
    handler.setFormatter(logging.Formatter(form))
    return handler
