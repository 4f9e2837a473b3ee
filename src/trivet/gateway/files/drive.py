"""What every room of the door works with: the volume, the people, the files of the gateway, the clock."""

import asyncio
import getpass
import os
from dataclasses import dataclass, field
from pathlib import Path

from trivet.drive.usage_limits import DoorLimits
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.door_file import DoorFile
from trivet.gateway.files.changes_feed import ChangesFeed
from trivet.gateway.files.hot_files import HotFiles
from trivet.gateway.files.kept_checks import KeptChecks
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.vendors import Vendors
from trivet.gateway.files.verdicts import Verdicts
from trivet.gateway.people import People
from trivet.gateway.usage import Usage
from trivet.gateway.vendor_news import NewsDesk
from trivet.io.away_files import AwayFiles
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import PRIVATE_INO, REVISIONS, TRASH, UPLOADS, Caller, VersionedVolume

FILE_MODE, FOLDER_MODE = 0o644, 0o755
#: Of how many bodies a piece may be hashed and written at the same time.
WRITING_AT_ONCE = 8
NO_LIMITS = DoorLimits()


@dataclass
class Drive:
    """One worker's view of the drive; `folder` is DIR/gateway, shared with the other workers."""

    volume: VersionedVolume
    people: People
    door: DoorFile
    folder: Path
    secret: str
    uploads_ino: int
    trash_ino: int
    revisions_ino: int
    feed: ChangesFeed
    pool: DecodingPool
    away: AwayFiles
    vendors: Vendors
    usage: Usage
    limits: DoorLimits
    news: NewsDesk
    caller: Caller = field(default_factory=lambda: Caller(os.geteuid(), os.getegid()))
    owner: str = field(default_factory=getpass.getuser)
    checks: KeptChecks = field(default_factory=KeptChecks)
    writing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITING_AT_ONCE))
    hot: HotFiles = field(default_factory=HotFiles)
    verdicts: Verdicts = field(default_factory=Verdicts)
    downloads: dict[str, LiveDownload] = field(default_factory=dict)


async def open_drive(
    volume: VersionedVolume,
    people: People,
    door: DoorFile,
    folder: Path,
    pool: DecodingPool,
    limits: DoorLimits = NO_LIMITS,
) -> Drive:
    """Return the drive of `volume` whose gateway keeps its files in `folder`."""
    uploads, trash, revisions = [
        (await volume.lookup(PRIVATE_INO, name)).ino for name in (UPLOADS, TRASH, REVISIONS)
    ]
    (folder / "uploads").mkdir(parents=True, exist_ok=True)
    secret, feed = await door.secret(), ChangesFeed(volume)
    state = VolumeFolder(folder.parent)
    return Drive(
        volume, people, door, folder, secret, uploads, trash, revisions, feed, pool, AwayFiles(state),
        Vendors(state), Usage(door), limits, NewsDesk(state.upstream_socket),
    )  # fmt: skip
