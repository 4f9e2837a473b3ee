"""What `trivet upstream add` keeps of an upstream, one file each: where it is, where it stands, its limits.

Rule: the file names where credentials lie; it holds none.
"""

import os
from pathlib import Path

import msgspec

from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.removal_guard import RemovalLimits
from trivet.drive.upstream.vendor_quota import QuotaLimits
from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeFolder, write_synced

GOOGLE_URL = "https://www.googleapis.com"


class Account(msgspec.Struct, frozen=True):
    """One upstream: the folder `folder` of the vendor at `url` stands at the path `at`.

    `credentials` is the path of a file, None for a server without logins; `user` owns what comes from there.
    A changed file is sent when it has been quiet for `quiet_s`; the vendor is asked every `poll_s`. A call
    that fails is made `attempts` times. `removals` says how much is removed there without asking people.
    Of the bodies that are here at most about `cache_bytes` are kept.
    """

    name: str
    at: str
    user: str
    url: str = GOOGLE_URL
    folder: str = "root"
    credentials: str | None = None
    quota: QuotaLimits = QuotaLimits()
    download: BudgetLimits = BudgetLimits()
    upload: BudgetLimits = BudgetLimits()
    poll_s: float = 15.0
    quiet_s: float = 2.0
    cache_bytes: int | None = None
    attempts: int = 5
    removals: RemovalLimits = RemovalLimits()


def account_path(folder: VolumeFolder, name: str) -> Path:
    """Return where an upstream is described."""
    return folder.upstream_path / f"{name}.json"


def store_path(folder: VolumeFolder, name: str) -> Path:
    """Return where an upstream keeps its rows."""
    return folder.upstream_path / f"{name}.sqlite"


def token_path(folder: VolumeFolder, name: str) -> Path:
    """Return where the login of a person is kept that an upstream uses."""
    return folder.upstream_path / f"{name}.token"


def accounts(folder: VolumeFolder) -> list[Account]:
    """Return the upstreams of a drive; ConfigError when one can't be read."""
    found = []
    for path in sorted(folder.upstream_path.glob("*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Account))
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(f"{path} can't be read: {error}") from error
    return found


def keep_account(folder: VolumeFolder, account: Account) -> None:
    """Write an upstream down; it is in use from the next start of its process on."""
    folder.upstream_path.mkdir(parents=True, exist_ok=True)
    os.chmod(folder.upstream_path, 0o700)
    path = account_path(folder, account.name)
    write_synced(path, msgspec.json.format(msgspec.json.encode(account)) + b"\n")
