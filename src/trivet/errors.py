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


class Unauthorized(RequestError):
    """Nobody is logged in, or the token is not known; logging in helps."""

    http_status = 401
    errno = _errno.EACCES


class Forbidden(RequestError):
    """Somebody is logged in, and may not do this."""

    http_status = 403
    errno = _errno.EACCES


class QuotaExceeded(RequestError):
    """What a user may use or transfer is used up."""

    http_status = 403
    errno = _errno.EDQUOT


class BeyondBudget(RequestError):
    """More bytes than a whole day's budget has: no day has room for them."""

    http_status = 403
    errno = _errno.EDQUOT


class PreconditionFailed(RequestError):
    """The version or fencing token that was named is not the present one."""

    http_status = 412
    errno = _errno.ESTALE


class PayloadTooLarge(RequestError):
    """More bytes than the limit allows."""

    http_status = 413
    errno = _errno.EFBIG


class UnsupportedType(RequestError):
    """The content is not what its name or MIME type says; `suggested_name` would fit it."""

    http_status = 415

    def __init__(self, message: str, *, declared: str, detected: str, suggested_name: str | None) -> None:
        super().__init__(message)
        self.declared = declared
        self.detected = detected
        self.suggested_name = suggested_name


class BadRange(RequestError):
    """The bytes asked for lie outside; `size_bytes` is what there is, if known."""

    http_status = 416

    def __init__(self, message: str, *, size_bytes: int | None = None) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes


class CorruptContent(RequestError):
    """Content that is cut, flipped or not decodable: refused, so that nothing corrupt gets in or out."""

    http_status = 422
    errno = _errno.EBADMSG


class Locked(RequestError):
    """Somebody else holds a lock; `holder` names them, `expires_at_s` (Unix time) says how long at most."""

    http_status = 423
    errno = _errno.EWOULDBLOCK

    def __init__(self, message: str, *, holder: str, expires_at_s: float) -> None:
        super().__init__(message)
        self.holder = holder
        self.expires_at_s = expires_at_s


class TooSlow(RequestError):
    """The rest of a request did not come in time."""

    http_status = 408
    errno = _errno.ETIMEDOUT


class RateLimited(RequestError):
    """Too often; trying again after `retry_after_s` helps."""

    http_status = 429
    errno = _errno.EAGAIN

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UsageLimit(RequestError):
    """A user has asked for as much as one may in a day; `resets_at_s` (Unix time) is when there is more."""

    http_status = 429
    errno = _errno.EDQUOT

    def __init__(self, message: str, *, retry_after_s: float, resets_at_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.resets_at_s = resets_at_s


class VendorQuotaSpent(TrivetError):
    """The vendor lets us do nothing more today, but in `retry_after_s`; what is here is served."""

    http_status = 429
    errno = _errno.EDQUOT

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Gone(RequestError):
    """It was here and is not any more."""

    http_status = 410
    errno = _errno.ENOENT


class SessionExpired(RequestError):
    """An upload or login session that has run out; begin a new one (the Drive face says 404)."""

    http_status = 410
    errno = _errno.ENOENT


class Unsupported(RequestError):
    """A thing trivet does not do (yet)."""

    http_status = 501
    errno = _errno.ENOTSUP


class NotExportable(RequestError):
    """A file that no export makes anything else of."""

    http_status = 415
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


class StoreAway(ReplicaError):
    """The object store behind a bank can't be asked now; what it holds is as it was."""


class NoMajority(TrivetError):
    """Nobody can say which state is the last: loud, never wrong bytes."""

    http_status = 503


class OutcomeUnknown(TrivetError):
    """The connection broke while something was changed: it may have happened; look before trying again."""

    http_status = 503


class ContentAway(TrivetError):
    """The body of this file is at its vendor and must be fetched before it can be read or changed."""

    http_status = 503
    errno = _errno.EAGAIN


class BudgetSpent(RequestError):
    """A day's bytes are spoken for: the transfer `key` waits at `position` (None: it was not to wait).

    `bytes_left` are those of the day, `resets_at_s` (Unix time) is when there are new ones.
    """

    http_status = 429
    errno = _errno.EDQUOT

    def __init__(
        self, message: str, *, key: str | None, position: int, bytes_left: int | None, resets_at_s: float
    ) -> None:
        super().__init__(message)
        self.key = key
        self.position = position
        self.bytes_left = bytes_left
        self.resets_at_s = resets_at_s


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


class Parked(UpstreamError):
    """The vendor can't be asked now: the transfer `key` waits, with `offset` bytes, and goes on by itself.

    It is asked again `retry_after_s` later.
    """

    http_status = 503
    errno = _errno.EAGAIN

    def __init__(self, message: str, *, key: str, offset: int, retry_after_s: float) -> None:
        super().__init__(message)
        self.key = key
        self.offset = offset
        self.retry_after_s = retry_after_s


class ConfigError(TrivetError):
    """The set-up is wrong; the message says what to change."""

    exit_code = 2
