"""One upstream at work: what its rooms share, and how a file stands here compared with what was agreed.

Rule: a row of the mirror says what both sides had when they last agreed; `agreed` 0 is a file of ours whose
id the vendor has given out and which it has not confirmed yet.
Rule: one room at a time works on a file: whoever does has claimed its id.
"""

import asyncio
import hashlib
import pwd
import random
import stat
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from errno import ENODATA, ENOENT, ESTALE
from typing import Any

import msgspec

from trivet.drive.file_metadata import ATTRIBUTE, FileMetadata, decode_metadata
from trivet.drive.names import shown
from trivet.drive.upstream.reconciling import Side
from trivet.errors import FileSystemError
from trivet.io.upstream_store import UpstreamStore
from trivet.upstream.claims import Claims
from trivet.upstream.vendor import Vendor
from trivet.volume.interface import AWAY, Attributes, Caller, VersionedVolume

PIECE_BYTES = 1 << 20
#: So long people find what they were told.
NOTICES_KEPT_S = 30 * 86_400.0
_COLUMNS = "id, ino, parent, name, mount_name, md5, size, mtime_ns, agreed"


class Row(msgspec.Struct, frozen=True):
    """One file as it was last agreed; `ino` None when it is not here, `md5` None for a folder."""

    id: str
    ino: int | None
    parent: str
    name: str
    mount_name: str
    md5: str | None
    size: int
    mtime_ns: int
    agreed: bool

    @property
    def known(self) -> Side | None:
        """What both sides had, None if the vendor has not confirmed the file."""
        return Side(self.name, self.parent, self.md5) if self.agreed else None

    def changed(self, **changes: object) -> "Row":
        """Return it with `changes`."""
        return msgspec.structs.replace(self, **changes)


class Mirror:
    """The rows in `store`; `root` is the vendor's id of the folder that stands at the inode `at`."""

    def __init__(self, store: UpstreamStore, root: str, at: int) -> None:
        self._store = store
        self.root = root
        self.at = at

    async def by_id(self, file_id: str) -> Row | None:
        """Return the row of a vendor's id."""
        return _row(await self._store.row(f"SELECT {_COLUMNS} FROM mirror WHERE id = ?", file_id))

    async def by_ino(self, ino: int) -> Row | None:
        """Return the row of an inode."""
        return _row(await self._store.row(f"SELECT {_COLUMNS} FROM mirror WHERE ino = ?", ino))

    async def children(self, file_id: str) -> list[Row]:
        """Return the rows in a folder."""
        rows = await self._store.rows(f"SELECT {_COLUMNS} FROM mirror WHERE parent = ?", file_id)
        return [row for one in rows if (row := _row(one)) is not None]

    async def twins(self, md5: str, size: int) -> list[Row]:
        """Return the rows of files that have this very content."""
        rows = await self._store.rows(
            f"SELECT {_COLUMNS} FROM mirror WHERE md5 = ? AND size = ? AND ino IS NOT NULL", md5, size
        )
        return [row for one in rows if (row := _row(one)) is not None]

    async def put(self, row: Row) -> None:
        """Keep a row."""
        await self._store.write(
            f"INSERT OR REPLACE INTO mirror ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(row.id, row.ino, row.parent, row.name, row.mount_name, row.md5, row.size, row.mtime_ns),
            int(row.agreed),
        )

    async def drop(self, file_id: str) -> None:
        """Forget a row."""
        await self._store.write("DELETE FROM mirror WHERE id = ?", file_id)

    async def folder_ino(self, file_id: str) -> int | None:
        """Return the inode of a folder of the vendor, None if it is not in the tree."""
        if file_id == self.root:
            return self.at
        row = await self.by_id(file_id)
        return None if row is None or row.md5 is not None else row.ino

    async def folder_id(self, ino: int) -> str | None:
        """Return the vendor's id of a folder here, None if it is not in the tree."""
        if ino == self.at:
            return self.root
        row = await self.by_ino(ino)
        return None if row is None else row.id


def _row(found: tuple[Any, ...] | None) -> Row | None:
    return None if found is None else _made(*found)


def _made(*found: Any) -> Row:
    file_id, ino, parent, name, mount_name, md5, size, mtime_ns, agreed = found
    return Row(file_id, ino, parent, name, mount_name, md5, size, mtime_ns, bool(agreed))


@dataclass(frozen=True, slots=True)
class Look:
    """Where an inode stands in the tree; `parent` is the vendor's id of its folder."""

    attributes: Attributes
    parent: str
    parent_ino: int
    mount_name: str

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.attributes.mode)

    @property
    def is_ours(self) -> bool:
        """Whether it is a file or a folder; links and devices are not sent to a vendor."""
        return self.is_file or stat.S_ISDIR(self.attributes.mode)


@dataclass(frozen=True, slots=True)
class Here:
    """A file as it is in the volume; `side` says it in the vendor's words."""

    side: Side
    attributes: Attributes
    parent_ino: int
    mount_name: str
    is_away: bool


@dataclass
class Upstream:
    """What every room of one upstream works with; `now_s` is Unix time."""

    name: str
    volume: VersionedVolume
    store: UpstreamStore
    mirror: Mirror
    vendor: Vendor
    staging_ino: int
    now_s: Callable[[], float]
    rng: random.Random
    caller: Caller
    user: str
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    #: How often this process opened files itself, which is no use of theirs.
    own_opens: Counter[int] = field(default_factory=Counter)
    _claims: Claims = field(default_factory=Claims)

    def claim(self, file_id: str) -> AbstractAsyncContextManager[None]:
        """Be the only one who works on the file `file_id`."""
        return self._claims.of(file_id)

    async def tell(self, text: str, user: str) -> None:
        """Keep a sentence for `user`, "" for everybody, and forget those that are too old.

        The newest always stays: their numbers grow.
        """
        now_s = self.now_s()
        await self.store.write("INSERT INTO notices (at_s, text, user) VALUES (?, ?, ?)", now_s, text, user)
        await self.store.write("DELETE FROM notices WHERE at_s < ?", now_s - NOTICES_KEPT_S)

    async def author_of(self, attributes: Attributes) -> str:
        """Return the user who made a file what it is: who put it there, else whose it is in the folder."""
        content = (await self.metadata(attributes.ino)).content_at(attributes.size, attributes.mtime_ns)
        if content is not None and content.by:
            return content.by
        try:
            return pwd.getpwuid(attributes.uid).pw_name
        except KeyError:
            return self.user

    def is_claimed(self, file_id: str) -> bool:
        """Tell whether somebody works on the file `file_id`."""
        return file_id in self._claims

    async def look(self, ino: int | None) -> Look | None:
        """Return where an inode stands in the tree; None if it is not there (any more)."""
        if ino is None:
            return None
        try:
            attributes = await self.volume.getattr(ino)
            names = await self.volume.names_of(ino)
        except FileSystemError as error:
            if error.errno in {ENOENT, ESTALE}:
                return None
            raise
        for parent_ino, name in names:
            parent = await self.mirror.folder_id(parent_ino)
            if parent is not None:
                return Look(attributes, parent, parent_ino, shown(name))
        return None

    async def here(self, ino: int | None, row: Row | None) -> Here | None:
        """Return how the inode of `row` stands in the tree; None if it is not there (any more)."""
        found = await self.look(ino)
        if found is None:
            return None
        attributes = found.attributes
        metadata = await self.metadata(attributes.ino)
        called = metadata.name_for(found.mount_name)
        if row is not None and found.mount_name == row.mount_name:
            called = row.name
        away = await self.away_id(attributes.ino)
        md5 = await self._md5(attributes, row, metadata, is_away=away is not None)
        side = Side(called, found.parent, md5)
        return Here(side, attributes, found.parent_ino, found.mount_name, away is not None)

    async def _md5(
        self, attributes: Attributes, row: Row | None, metadata: FileMetadata, *, is_away: bool
    ) -> str | None:
        if not stat.S_ISREG(attributes.mode):
            return None
        same = row is not None and (row.size, row.mtime_ns) == (attributes.size, attributes.mtime_ns)
        if row is not None and row.md5 is not None and (is_away or same):
            return row.md5
        sums = metadata.sums_of(attributes.size, attributes.mtime_ns)
        return sums.md5 if sums is not None else await self._hashed(attributes.ino)

    async def _hashed(self, ino: int) -> str:
        self.own_opens[ino] += 1
        snapshot = await self.volume.open_snapshot(ino)
        digest, at = hashlib.md5(usedforsecurity=False), 0
        try:
            while at < snapshot.attributes.size:
                piece = await self.volume.read(snapshot.handle, at, PIECE_BYTES)
                digest.update(piece)
                at += len(piece)
        finally:
            await self.volume.release(snapshot.handle)
        return digest.hexdigest()

    async def metadata(self, ino: int) -> FileMetadata:
        """Return what the drive knows of an inode."""
        found = await self._xattr(ino, ATTRIBUTE)
        return FileMetadata() if found is None else decode_metadata(found)

    async def away_id(self, ino: int) -> str | None:
        """Return the vendor's id of the body of `ino` if it is away."""
        found = await self._xattr(ino, AWAY)
        upstream, _, file_id = (found or b"").decode().partition("/")
        return file_id if upstream == self.name and file_id else None

    def mark(self, file_id: str) -> bytes:
        """Return the mark of a body that is away: where it is, and its id there."""
        return f"{self.name}/{file_id}".encode()

    async def _xattr(self, ino: int, name: bytes) -> bytes | None:
        try:
            return await self.volume.getxattr(ino, name)
        except FileSystemError as error:
            if error.errno == ENODATA:
                return None
            raise
