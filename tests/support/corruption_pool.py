"""The files that the corruption matrix spoils, on a drive in this process, and what its disks hold of them.

Rule: every file has rows of several kinds, each with an older version; large ones have a blob.
Rule: rows and copies are read as they stand on the disk of each bank, not as anybody answers.
"""

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from corruption import StoredBlob, StoredRow
from small_drive import ServedBank, SmallDrive
from trivet.bank.blob_header import stored_bytes
from trivet.bank.segment import segment_path
from trivet.volume.extents import blobs_of
from trivet.volume.interface import ROOT_INO, AttributeChanges, Caller
from trivet.wire.records import entry_key, extents_key, inode_key, orphan_key, page_key, xattr_key

PAIRS = 48
SMALL_BYTES, LARGE_BYTES = 3000, 70_000
NOTE = b"user.note"
ME = Caller(0, 0)
Result = TypeVar("Result")


@dataclass
class File:
    """A file of the pool: what it must hold, and the keys of its rows by kind."""

    name: bytes
    ino: int
    body: bytes
    keys: dict[str, bytes]
    blob: int = 0
    handle: int | None = None

    @property
    def path(self) -> str:
        """How people are told of it."""
        return f"/{self.name.decode()}" if self.handle is None else f"(inode {self.ino})"


class Pool:
    """Files small and large on `drive`, with older versions of their rows in `older`."""

    def __init__(self, drive: SmallDrive, rng: random.Random) -> None:
        self.drive = drive
        self.files: dict[str, list[File]] = {"small": [], "large": []}
        self.older: dict[bytes, list[StoredRow]] = {}
        self._rng = rng

    async def fill(self) -> None:
        """Write every file, then change everything about it, so that each row has an older version."""
        for size, files in self.files.items():
            names = [b"%s%d" % (size[:1].encode(), number) for number in range(2 * PAIRS)]
            files.extend(await asyncio.gather(*(self._make(size, name) for name in names)))
        await self.settle()
        before = await rows_on(self.drive.servers[0])
        await asyncio.gather(*(self._change(file) for files in self.files.values() for file in files))
        await self.settle()
        after = await rows_on(self.drive.servers[0])
        self.older = {key: [row] for key, row in before.items() if key in after and after[key][1] > row[1]}

    async def _make(self, size: str, name: bytes) -> File:
        is_small = size == "small"
        ino = await self.drive.write(name, bytes(SMALL_BYTES if is_small else LARGE_BYTES))
        keys = {"i": inode_key(ino), "d": entry_key(ROOT_INO, name), "x": xattr_key(ino, NOTE)}
        keys |= {"b": page_key(ino, 0)} if is_small else {"e": extents_key(ino, 0)}
        await self.drive.loaded.volume.setxattr(ino, NOTE, b"first", create=False, replace=False)
        return File(name, ino, b"", keys)

    async def _change(self, file: File) -> None:
        volume = self.drive.loaded.volume
        file.body = self._rng.randbytes(SMALL_BYTES if "b" in file.keys else LARGE_BYTES)
        handle = await volume.open(file.ino, writing=True, truncate=False, sync=False)
        await volume.write(handle, 0, file.body)
        await volume.fsync(handle)
        await volume.release(handle)
        await volume.setattr(file.ino, AttributeChanges(mode=0o600))
        await volume.setxattr(file.ino, NOTE, file.body[:40], create=False, replace=True)
        for names in ((file.name, b"-" + file.name), (b"-" + file.name, file.name)):
            await volume.rename(ROOT_INO, names[0], ROOT_INO, names[1], replace=True, exchange=False)
        for _, value in volume.space.layout.all_extents(file.ino):
            file.blob = blobs_of(value)[0].name

    async def open_unlinked(self, name: bytes) -> File:
        """Return a file that is open and has no name any more."""
        volume = self.drive.loaded.volume
        made, handle = await volume.create(ROOT_INO, name, 0o644, ME)
        await volume.write(handle, 0, name)
        await volume.fsync(handle)
        await volume.unlink(ROOT_INO, name)
        await volume.fsyncdir(ROOT_INO)
        return File(name, made.ino, name, {"o": orphan_key(made.ino)}, handle=handle)

    async def settle(self) -> None:
        """Wait until everything is durable, on all banks, and applied there."""
        journal, space = self.drive.loaded.journal, self.drive.loaded.volume.space

        def is_settled() -> bool:
            head = journal.head_slot
            is_everywhere = journal.durable_slot == head and len(journal.acceptors_at(head)) == 3
            return is_everywhere and not space.has_changes

        await self.drive.until(is_settled)
        for server in journal.acceptors_at(0):
            await self.drive.loaded.queue.rows.differing_keys(server, journal.durable_slot)

    async def read(self, file: File) -> tuple[bytes, bytes, int]:
        """Return (body, attribute, mode), as whoever opens the file gets them."""
        volume = self.drive.loaded.volume
        if file.handle is not None:
            return await volume.read(file.handle, 0, 1 << 20), file.body[:40], 0o600
        await volume.opendir(ROOT_INO)
        found = await volume.lookup(ROOT_INO, file.name)
        assert found.ino == file.ino, f"{file.name!r} leads to another file"
        note = await volume.getxattr(found.ino, NOTE)
        return await self.drive.read(file.name), note, found.mode & 0o777


async def on_table(server: ServedBank, work: Callable[[sqlite3.Connection], Result]) -> Result:
    """Return what `work` does with the table of a server that runs, or of one that was ended."""
    if server.is_listening:
        return await server.place.records._owned.write(lambda table: work(table._sql))
    connection = sqlite3.connect(server.own / "records.sqlite", isolation_level=None)
    try:
        return work(connection)
    finally:
        connection.close()


async def rows_on(server: ServedBank) -> dict[bytes, StoredRow]:
    """Return every row of a server, as its table has it."""
    return await on_table(
        server,
        lambda sql: {row[0]: tuple(row) for row in sql.execute("SELECT key, slot, value, mac FROM records")},
    )


async def change_rows(server: ServedBank, changed: list[tuple[bytes, StoredRow | None]]) -> None:
    """Put rows in the place of those that stand at the keys; None: nothing."""

    def change(sql: sqlite3.Connection) -> None:
        for key, row in changed:
            sql.execute("DELETE FROM records WHERE key = ?", (key,))
            if row is not None:
                sql.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", row)

    await on_table(server, change)


def blob_on(server: ServedBank, name: int) -> StoredBlob | None:
    """Return the copy of a blob on a server, None if the server knows of none."""
    place = server.place.blobs.index.get(name)
    if place is None:
        return None
    number = os.open(segment_path(server.own / "segments", place.segment), os.O_RDONLY)
    try:
        stored = os.pread(number, stored_bytes(place.size), place.offset)
    finally:
        os.close(number)
    return StoredBlob(name, place.segment, place.offset, place.size, stored)


def write_blob(server: ServedBank, blob: StoredBlob, stored: bytes) -> None:
    """Write bytes over a copy of a blob, past the server."""
    number = os.open(segment_path(server.own / "segments", blob.segment), os.O_WRONLY)
    try:
        os.pwrite(number, stored, blob.offset)
    finally:
        os.close(number)
