"""A download under way: how far it is; what a worker's list of them, and the row of a kept one, tell."""

import time
from dataclasses import dataclass, field
from typing import Literal

import msgspec

DownloadState = Literal["waiting", "running", "verifying", "committed", "rolled back", "parked"]


class DownloadPlan(msgspec.Struct, frozen=True):
    """Which content is sent: one revision of a file, of `size` bytes."""

    file_id: str
    revision: str
    name: str
    path: str
    size: int
    sha256: str | None = None


@dataclass(slots=True)
class LiveDownload:
    """One download; all before the offset `sent` was handed to the client, `kept` says that it has a row.

    Times are Unix time.
    """

    key: str
    user: str
    plan: DownloadPlan
    expires_at: float
    state: DownloadState = "waiting"
    sent: int = 0
    error: str | None = None
    kept: bool = False
    touched_at: float = field(default_factory=time.time)

    @property
    def is_open(self) -> bool:
        """Whether it can go on."""
        return self.state not in {"committed", "rolled back"}
