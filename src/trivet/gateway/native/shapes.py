"""The shapes of the native face: what is told, and what may be asked for."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trivet.drive.file_metadata import Sums
from trivet.drive.locks import Lock
from trivet.drive.resources import FileView
from trivet.drive.timestamps import rfc3339
from trivet.gateway.files.live_downloads import LiveDownload
from trivet.gateway.files.old_versions import Revision
from trivet.gateway.files.transfers import Transfer

Name = Annotated[str, Meta(min_length=1, max_length=255)]


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file or folder; `etag` goes into If-Match, `size` is in bytes, `fault` is what its check found."""

    id: str
    name: str
    path: str
    kind: Literal["file", "folder"]
    mime_type: str
    version: int
    etag: str
    created_at: str
    modified_at: str
    owner: str
    size: int | None = None
    parent: str | None = None
    trashed: bool = False
    starred: bool = False
    description: str = ""
    properties: dict[str, str] = {}
    revision: str | None = None
    checksums: Sums | None = None
    fault: str | None = None
    validate: str | None = None


def file_of(view: FileView) -> File:
    """Return what is told of `view`."""
    data = view.metadata
    return File(
        id=view.file_id,
        name=view.name,
        path=view.path,
        kind="folder" if view.is_folder else "file",
        mime_type=view.mime_type,
        version=view.version,
        etag=etag_of(view.version),
        created_at=rfc3339(view.created_ns),
        modified_at=rfc3339(view.modified_ns),
        owner=view.owner,
        size=None if view.is_folder else view.size,
        parent=view.parent_id,
        trashed=view.trashed,
        starred=data.starred,
        description=data.description,
        properties=data.properties,
        revision=None if view.is_folder else view.head_revision,
        checksums=view.sums,
        fault=view.fault,
        validate=data.validate,
    )


def etag_of(version: int) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


class FilePage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some files, and how to get the next ones."""

    files: list[File]
    next_page_token: str | None = None


class NewFolder(msgspec.Struct, frozen=True):
    """A folder to be made: `name` in the folder `parent` (an id), or every folder of a `path`."""

    name: Name | UnsetType = UNSET
    parent: str = "root"
    path: str | UnsetType = UNSET


class FileChange(msgspec.Struct, frozen=True):
    """What to change; what is not sent stays. `validate` (of folders) is off, flag or refuse."""

    name: Name | UnsetType = UNSET
    parent: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    starred: bool | UnsetType = UNSET
    properties: dict[str, str | None] | UnsetType = UNSET
    validate: Literal["off", "flag", "refuse"] | UnsetType | None = UNSET


class NewCopy(msgspec.Struct, frozen=True):
    """Where a copy goes and what it is called; beside the file, "Copy of ..." if nothing is said."""

    name: Name | UnsetType = UNSET
    parent: str | UnsetType = UNSET


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of a file; the newest is `head`."""

    id: str
    size: int
    modified_at: str
    head: bool = False
    keep_forever: bool = False
    checksums: Sums | None = None


def version_of(one: Revision) -> Version:
    """Return what is told of a version."""
    data = one.metadata
    sums = data.sums_of(one.size, one.modified_ns)
    return Version(one.id, one.size, rfc3339(one.modified_ns), one.name is None, data.keep_forever, sums)


class Versions(msgspec.Struct, frozen=True):
    """Every version of a file, oldest first."""

    revisions: list[Version]


class KeepVersion(msgspec.Struct, frozen=True):
    """Whether the retention rule spares a version."""

    keep_forever: bool


class NewLock(msgspec.Struct, frozen=True):
    """A lock to be taken, or renewed; `owner` tells programs of one user apart."""

    mode: Literal["shared", "exclusive"] = "exclusive"
    ttl_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    owner: Annotated[str, Meta(max_length=100)] = ""


class LockTold(msgspec.Struct, frozen=True):
    """A lock; send its `token` as X-Trivet-Lock with every change."""

    token: int
    owner: str
    mode: str
    expires_at_s: float


def lock_told(lock: Lock) -> LockTold:
    """Return what is told of a lock."""
    return LockTold(lock.token, lock.owner, lock.mode, lock.expires_at_s)


class Locks(msgspec.Struct, frozen=True):
    """The locks on a file."""

    locks: list[LockTold]


class NewTransfer(msgspec.Struct, frozen=True):
    """An upload to begin: a new file `name` in the folder `parent`, or new content of the file `target`.

    `path` stands for either. `size` in bytes if it is known, `checksums` by md5, sha1, sha256 if they are.
    A download is of a `target` or `path`, and of nothing else that is said here.
    """

    direction: Literal["upload", "download"] = "upload"
    name: Name | UnsetType = UNSET
    parent: str = "root"
    path: str | UnsetType = UNSET
    target: str | UnsetType = UNSET
    size: Annotated[int, Meta(ge=0, le=1 << 53)] | None = None
    mime_type: Annotated[str, Meta(max_length=255)] | None = None
    modified_at: str | UnsetType = UNSET
    checksums: dict[Literal["md5", "sha1", "sha256"], str] = {}


class Held(msgspec.Struct, frozen=True):
    """What a client holds of a download: its first `offset` bytes, and their sha256."""

    offset: Annotated[int, Meta(ge=0, le=1 << 53)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]


class TransferTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a transfer stands; `offset` bytes of it are safe.

    The rest of an upload is PUT to `location` with Content-Range, that of a download got there with Range.
    """

    key: str
    state: str
    offset: int
    path: str
    location: str
    resumable: bool
    expires_at_s: float
    touched_at_s: float
    size: int | None = None
    file: str | None = None
    error: str | None = None
    direction: str = "upload"
    checksums: dict[str, str] = {}


def transfer_told(one: Transfer | LiveDownload) -> TransferTold:
    """Return what is told of a transfer."""
    if isinstance(one, LiveDownload):
        plan = one.plan
        return TransferTold(
            one.key, one.state, one.sent, plan.path, f"/api/v1/transfers/{one.key}/content",
            one.kept and one.is_open, one.expires_at, one.touched_at, plan.size, plan.file_id, one.error,
            "download", {} if plan.sha256 is None else {"sha256": plan.sha256},
        )  # fmt: skip
    is_open = one.state not in {"committed", "rolled back"}
    return TransferTold(
        one.key, one.state, one.held, one.plan.path, f"/api/v1/transfers/{one.key}", is_open,
        one.expires_at, one.touched_at, one.total, one.result, one.error,
    )  # fmt: skip


class Transfers(msgspec.Struct, frozen=True):
    """Transfers of yours, the newest change first."""

    transfers: list[TransferTold]


class Count(msgspec.Struct, frozen=True):
    """How much was done."""

    removed: int
