"""Errors as the two faces show them: Drive v3's JSON and `application/problem+json`, from one table.

Rule: one table says, per class of errors.py, the status and reason of both faces; a subclass without a row of
its own has its parent's.
Source: the published protocol's pages "Resolve errors"; RFC 9457.
"""

import errno
from dataclasses import dataclass
from typing import Any

from trivet import errors
from trivet.errors import TrivetError


@dataclass(frozen=True, slots=True)
class Faces:
    """How one kind of failure shows: Drive v3's (`v3_status`, `reason`) and the native (`status`, `code`)."""

    v3_status: int
    reason: str
    status: int
    code: str


TABLE: dict[type[TrivetError], Faces] = {
    errors.TrivetError: Faces(500, "internalError", 500, "internal_error"),
    errors.RequestError: Faces(400, "badRequest", 400, "bad_request"),
    errors.Unauthorized: Faces(401, "authError", 401, "unauthorized"),
    errors.Forbidden: Faces(403, "insufficientFilePermissions", 403, "forbidden"),
    errors.QuotaExceeded: Faces(403, "storageQuotaExceeded", 403, "quota_exceeded"),
    errors.BeyondBudget: Faces(403, "dailyLimitExceeded", 403, "beyond_budget"),
    errors.NotFound: Faces(404, "notFound", 404, "not_found"),
    errors.Conflict: Faces(409, "conflict", 409, "conflict"),
    errors.ChangesExpired: Faces(410, "pageTokenExpired", 410, "changes_expired"),
    errors.Gone: Faces(404, "notFound", 410, "gone"),
    errors.SessionExpired: Faces(404, "notFound", 410, "session_expired"),
    errors.TooSlow: Faces(408, "requestTimeout", 408, "request_timeout"),
    errors.PreconditionFailed: Faces(412, "conditionNotMet", 412, "precondition_failed"),
    errors.PayloadTooLarge: Faces(413, "uploadTooLarge", 413, "payload_too_large"),
    errors.UnsupportedType: Faces(400, "badRequest", 415, "unsupported_type"),
    errors.BadRange: Faces(416, "requestedRangeNotSatisfiable", 416, "bad_range"),
    errors.CorruptContent: Faces(400, "badContent", 422, "corrupt_content"),
    errors.Locked: Faces(403, "fileLocked", 423, "locked"),
    errors.RateLimited: Faces(429, "rateLimitExceeded", 429, "rate_limited"),
    errors.UsageLimit: Faces(403, "dailyLimitExceeded", 429, "usage_limit"),
    errors.VendorQuotaSpent: Faces(403, "dailyLimitExceeded", 429, "quota_exhausted"),
    errors.BudgetSpent: Faces(403, "dailyLimitExceeded", 429, "budget_spent"),
    errors.ContentAway: Faces(503, "backendError", 503, "content_away"),
    errors.Unsupported: Faces(501, "notImplemented", 501, "unsupported"),
    errors.NotExportable: Faces(415, "fileNotExportable", 415, "not_exportable"),
    errors.NoMajority: Faces(503, "backendError", 503, "no_majority"),
    errors.OutcomeUnknown: Faces(503, "backendError", 503, "outcome_unknown"),
    errors.UpstreamError: Faces(503, "backendError", 503, "upstream_down"),
    errors.NoSpace: Faces(403, "storageQuotaExceeded", 507, "no_space"),
}

#: A transfer that has a place in the queue: accepted, and done later.
_QUEUED = Faces(403, "dailyLimitExceeded", 202, "queued")

_OF_ERRNO: dict[int, Faces] = {
    errno.ENOENT: TABLE[errors.NotFound],
    errno.ESTALE: TABLE[errors.NotFound],
    errno.ENOTDIR: Faces(403, "parentNotAFolder", 409, "not_a_folder"),
    errno.EISDIR: Faces(403, "fileNotDownloadable", 409, "is_a_folder"),
    errno.EEXIST: TABLE[errors.Conflict],
    errno.ENOTEMPTY: TABLE[errors.Conflict],
    errno.EACCES: TABLE[errors.Forbidden],
    errno.EPERM: TABLE[errors.Forbidden],
    errno.EFBIG: TABLE[errors.PayloadTooLarge],
    errno.ENOSPC: TABLE[errors.NoSpace],
    errno.EDQUOT: TABLE[errors.QuotaExceeded],
}


class InvalidParameter(errors.RequestError):
    """A parameter that can't be understood; `location` names it, `kind` is "parameter" or "header"."""

    def __init__(
        self, message: str, location: str, *, kind: str = "parameter", reason: str = "invalid"
    ) -> None:
        super().__init__(message)
        self.location = location
        self.kind = kind
        self.reason = reason


def faces_of(error: TrivetError) -> Faces:
    """Return how `error` shows; a file-system error by its errno, all else by its class."""
    if isinstance(error, errors.FileSystemError) and error.errno in _OF_ERRNO:
        return _OF_ERRNO[error.errno]
    if isinstance(error, errors.BudgetSpent) and error.key is not None:
        return _QUEUED
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def drive_error(error: TrivetError) -> tuple[int, dict[str, Any]]:
    """Return (status, body) of `error` as Drive v3 tells it."""
    faces = faces_of(error)
    reason = error.reason if isinstance(error, InvalidParameter) else faces.reason
    item: dict[str, Any] = {"domain": "global", "reason": reason, "message": str(error)}
    if isinstance(error, InvalidParameter):
        item |= {"locationType": error.kind, "location": error.location}
    elif isinstance(error, errors.NotFound):
        item |= {"locationType": "parameter", "location": "fileId"}
    elif isinstance(error, errors.Unauthorized):
        item |= {"locationType": "header", "location": "Authorization"}
    told = {"code": faces.v3_status, "message": str(error), "errors": [item]}
    return faces.v3_status, {"error": told}


def problem(error: TrivetError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return (status, body) of `error` as application/problem+json; extra members say what to do."""
    faces = faces_of(error)
    body: dict[str, Any] = {
        "type": f"urn:trivet:{faces.code}",
        "title": faces.code.replace("_", " "),
        "status": faces.status,
        "code": faces.code,
        "detail": str(error),
        "request_id": request_id,
    }
    if isinstance(error, InvalidParameter):
        body["location"] = error.location
    if isinstance(error, errors.BudgetSpent):
        body |= {"key": error.key, "position": error.position, "bytes_left": error.bytes_left}
        body |= {"resets_at_s": error.resets_at_s}
    if isinstance(error, errors.UsageLimit):
        body |= {"resets_at_s": error.resets_at_s, "history": "/api/v1/history"}
    if isinstance(error, errors.Parked):
        body |= {"key": error.key, "offset": error.offset, "resumable": True}
    if isinstance(error, errors.Locked):
        body |= {"holder": error.holder, "expires_at_s": error.expires_at_s}
    if isinstance(error, errors.UnsupportedType):
        body |= {"declared": error.declared, "detected": error.detected}
        body |= {"suggested_name": error.suggested_name} if error.suggested_name else {}
    return faces.status, body
