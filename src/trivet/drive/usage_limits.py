"""A user's requests of a day: which ones count, and when a new day begins.

Rule: requests for files and transfers count, on either face; what tells of the drive itself, logging in and
the page do not.
Rule: days begin at midnight UTC.
"""

from dataclasses import dataclass

from trivet.drive.upstream.vendor_quota import DAY_S

_COUNTED = (
    "/drive/v3/files", "/drive/v3/changes", "/drive/v3/drives", "/upload/", "/resumable/", "/batch",
    "/api/v1/files", "/api/v1/folders", "/api/v1/paths/", "/api/v1/content/", "/api/v1/search",
    "/api/v1/trash", "/api/v1/transfers/",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What a door allows each user a day (None = anything), and where browsers are sent beyond limits."""

    requests_per_day: int | None = None
    error_handler: str | None = None


def is_counted(method: str, path: str) -> bool:
    """Tell whether a request counts."""
    return path.startswith(_COUNTED) or (method == "POST" and path == "/api/v1/transfers")


def day_of(now_s: float) -> int:
    """Return the number of the day that `now_s` (Unix time) is in."""
    return int(now_s // DAY_S)


def day_ends_s(now_s: float) -> float:
    """Return when that day ends."""
    return float((day_of(now_s) + 1) * DAY_S)
