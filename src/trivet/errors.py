"""Every expected failure, with the faces it shows at each door.

Rule: a class carries its `http_status`, `errno` and `exit_code`; doors translate, they do not decide.
Rule: a bug is an AssertionError, is in no tree, and is never caught.
"""

import errno as _errno


class TrivetError(Exception):
    """Root of everything that can be expected to go wrong."""

    http_status = 500
    errno = _errno.EIO
    exit_code = 3


class RequestError(TrivetError):
    """The caller's fault: told without a traceback, never retried."""

    http_status = 400
    errno = _errno.EINVAL
    exit_code = 2


class NotFound(RequestError):
    """What was named does not exist."""

    http_status = 404
    errno = _errno.ENOENT


class Conflict(RequestError):
    """The name is taken, or the thing changed meanwhile."""

    http_status = 409
    errno = _errno.EEXIST


class ChangesExpired(RequestError):
    """The place in the history of changes is too old to go on from: list everything anew."""

    http_status = 410
    errno = _errno.ESTALE


class Unsupported(RequestError):
    """A thing trivet does not do (yet)."""

    http_status = 501
    errno = _errno.ENOTSUP


class FileSystemError(RequestError):
    """A file-system rule was broken; `errno` of the instance says which."""

    def __init__(self, errno: int, message: str = "") -> None:
        super().__init__(message or _errno.errorcode.get(errno, str(errno)))
        self.errno = errno


class InputError(RequestError):
    """Input (a file, a table, a capture, an option's value) that can't be used as it is."""


class ReplicaError(TrivetError):
    """One copy or one server failed; absorbed as long as another can stand in."""


class CorruptReplica(ReplicaError):
    """Bytes that do not match their checksum or MAC."""


class NoMajority(TrivetError):
    """Nobody can say which state is the last: loud, never wrong bytes."""

    http_status = 503


class OutcomeUnknown(TrivetError):
    """The connection broke while something was changed: it may have happened; look before trying again."""

    http_status = 503


class NoSpace(TrivetError):
    """Two banks have no room left."""

    http_status = 507
    errno = _errno.ENOSPC


class ProtocolError(TrivetError):
    """A peer sent what the protocol does not allow; the connection is closed."""

    http_status = 400
    errno = _errno.EPROTO


class UpstreamError(TrivetError):
    """A service we depend on failed after the tries that the caller asked for."""

    http_status = 502


class ConfigError(TrivetError):
    """The set-up is wrong; the message says what to change."""

    exit_code = 2
