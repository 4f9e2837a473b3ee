"""Operations that tell versions of a file apart: names, versions, snapshots, exchange, changes.

Rule: while a body is exchanged or held as a snapshot, writers of it wait; nobody else does.
Rule: a version is told only when what it counts is acknowledged.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from errno import EISDIR, EOPNOTSUPP

from trivet.errors import Conflict, FileSystemError
from trivet.keeper.name_operations import NameOperations
from trivet.keeper.read_path import ReadPath
from trivet.keeper.stores import AccessPort, CommitPort, RecordPort
from trivet.keeper.submitting import Submitter
from trivet.keeper.use_tally import UseTally
from trivet.keeper.write_path import WritePath
from trivet.volume.exchange import check_exchangeable, check_here, exchange_content
from trivet.volume.interface import Change, Described, DescribedEntry, Snapshot, Step
from trivet.volume.namespace import Namespace
from trivet.wire.records import entry_key, inode_key, xattr_key

_GATHER_S = 0.05
_TRIES = 8
_NEVER = 1 << 63
_NAMES_KNOWN = 16_384


class VersionOperations(NameOperations):
    """The part of a LocalVolume that a door for several writers needs."""

    def __init__(
        self,
        space: Namespace,
        submitter: Submitter,
        writes: WritePath,
        reads: ReadPath,
        commit: CommitPort,
        records: RecordPort,
        access: AccessPort,
        clock_ns: Callable[[], int],
    ) -> None:
        super().__init__(space, submitter, writes, records, access, clock_ns)
        self._reads = reads
        self._commit = commit
        self._names: dict[int, tuple[int, bytes]] = {}
        self._uses = UseTally()
        self._resizing: list[int] = []

    async def names_of(self, ino: int) -> Sequence[tuple[int, bytes]]:
        """Return (parent, name) of every name of `ino`, the oldest first."""
        space = self.space
        inode = space.inode(ino)
        if inode.nlink < 2 or inode.is_directory:
            name = self._only_name(ino)
            return [] if name is None else [name]
        found = space.holders.names(ino, space.directories)
        found.sort(key=lambda at: self._commit.slot_of(entry_key(*at)) or _NEVER)
        return found

    def _only_name(self, ino: int) -> tuple[int, bytes] | None:
        """Return (parent, name) of an inode that has at most one, looked for only if it is not known yet."""
        directories = self.space.directories
        known = self._names.get(ino)
        if known is not None and directories.get(known[0], {}).get(known[1]) == ino:
            return known
        for parent in self.space.holders.of(ino):
            for name, number in reversed(directories[parent].items()):  # who asks, asks for new ones most
                if number == ino:
                    self._names[ino] = parent, name
                    while len(self._names) > _NAMES_KNOWN:
                        del self._names[next(iter(self._names))]
                    return parent, name
        return None

    async def describe(self, ino: int, xattr: bytes) -> Described:
        """Return in one go what a door tells of an inode."""
        version = await self.version(ino)
        way: list[tuple[int, bytes]] = []
        names = await self.names_of(ino)
        while names:
            way.append(names[0])
            names = await self.names_of(names[0][0])
        values = await self._values([ino, *(parent for parent, _ in way)], xattr)
        steps = [Step(parent, name, values.get(parent)) for parent, name in way]
        return Described(self.space.inode(ino).attributes(), version, values.get(ino), steps)

    async def described_listing(
        self, ino: int, after_cookie: int, limit: int, xattr: bytes, *, with_versions: bool
    ) -> Sequence[DescribedEntry]:
        """Return what `listing` does, with what a door tells of each."""
        listed = await self.listing(ino, after_cookie, limit)
        # Versions first: what is told of an entry is then never older than its version.
        versions = {}
        for number in [entry.attributes.ino for entry in listed]:
            with suppress(FileSystemError):  # it is gone by now; who asks for it will hear so
                versions[number] = await self.version(number) if with_versions else 0
        values = await self._values(versions, xattr)
        found = []
        for entry in listed:
            number, attributes = entry.attributes.ino, entry.attributes
            with suppress(FileSystemError):
                attributes = self.space.inode(number).attributes()
            value, version = values.get(number), versions.get(number, 0)
            found.append(DescribedEntry(entry.name, entry.cookie, attributes, value, version))
        return found

    async def _values(self, inodes: Collection[int], xattr: bytes) -> dict[int, bytes]:
        """Return an extended attribute of those that have it; what is not in memory is read at once."""
        found: dict[int, bytes] = {}
        stored: dict[bytes, int] = {}
        for ino in inodes:
            with suppress(FileSystemError):
                value = self.space.xattrs.value(ino, xattr)
                key = xattr_key(ino, xattr)
                value = value if value is not None else self.space.changes.records.get(key)
                if value is None:
                    stored[key] = ino
                else:
                    found[ino] = value
        if stored:
            read = await self._records.read(list(stored))
            found |= {ino: read[key] for key, ino in stored.items() if key in read}
        return found

    async def version(self, ino: int) -> int:
        """Return the slot of the newest change of `ino`."""
        self.space.inode(ino)
        await self._writes.store(ino)
        return await self._settled_slot(ino)

    async def open_snapshot(self, ino: int) -> Snapshot:
        """Hold the bytes of a regular file as they are now; its blobs are pinned."""
        space = self.space
        inode = space.inode(ino)
        if not inode.is_regular:
            raise FileSystemError(EISDIR if inode.is_directory else EOPNOTSUPP)
        check_here(space, ino)
        async with self._writes.still(ino):
            body = await self._reads.stored_body(ino)
            version = await self._settled_slot(ino)
            attributes = space.inode(ino).attributes()
            handle = space.open_files.open(ino, writing=False, sync=False)
            space.open_files.get(handle).snapshot = body
            space.pins.hold(body.blob_names())
        self._access.accessed(ino)
        self._uses.note(ino)
        return Snapshot(handle, version, attributes)

    async def exchange_content(self, ino: int, other: int) -> None:
        """Let two regular files change their bytes, sizes and mtimes."""
        await self.publish(ino, other, None)

    async def take_uses(self) -> Sequence[tuple[int, int]]:
        """Return (inode, how often it was opened) of the files opened since this was asked last."""
        return self._uses.take()

    async def publish(
        self, staged: int, target: int, expected_version: int | None, *, unwritten: bool = False
    ) -> int:
        """Exchange content if `target` is at `expected_version`; return its new version."""
        await self._submitter.writable()
        space = self.space
        check_exchangeable(space, staged, target)
        async with self._writes.still(staged, target):
            bodies = {ino: await self._reads.stored_body(ino) for ino in (staged, target)}
            if expected_version is not None:
                version = await self._settled_slot(target)
                if version != expected_version:
                    raise Conflict(f"the file is at version {version}, not {expected_version}")
            check_exchangeable(space, staged, target)
            if unwritten and (space.open_files.is_written(target) or target in self._resizing):
                raise Conflict("somebody writes to the file")
            pages = bodies[staged].pages, bodies[target].pages
            exchange_content(space, staged, target, *pages, self._clock_ns())
            self._parting.hold(staged)
            self._reads.exchanged(staged, pages[1])
            self._reads.exchanged(target, pages[0])
            self._asked.note(None)
            return await self._submitter.committed()

    async def published_version(self, staged: int, target: int) -> int:
        """Return the version that `publish` gave to `target` some time ago.

        It gave both files the same one; who published and was not told yet leaves the staged one alone.
        """
        versions = [await self._settled_slot(target)]
        if staged in self.space.inodes:
            versions.append(await self._settled_slot(staged))
        return min(versions)

    async def newest_slot(self) -> int:
        """Return the slot of the last durable change."""
        await self._submitter.durable()
        return self._commit.durable_slot

    async def changes(self, after_slot: int, limit: int) -> tuple[Sequence[Change], int]:
        """Return what changed behind `after_slot` and the slot to go on from."""
        await self._submitter.durable()
        return await self._submitter.history.behind(after_slot, max(limit, 1))

    async def wait_changed(self, after_slot: int, timeout_s: float) -> bool:
        """Wait until something durable happened behind `after_slot`."""
        history = self._submitter.history
        try:
            async with asyncio.timeout(timeout_s):
                while not history.has_news(after_slot):
                    history.happened.clear()
                    await history.happened.wait()
                    await asyncio.sleep(_GATHER_S)
                    await self._submitter.durable()
        except TimeoutError:
            return history.has_news(after_slot)
        return True

    async def _settled_slot(self, ino: int) -> int:
        """Return the slot of an inode's record once its newest change is acknowledged."""
        key = inode_key(ino)
        for _attempt in range(_TRIES):
            if not self.space.is_touched(ino) and not self._commit.is_fresh(key):
                break
            await self._submitter.committed()
        self.space.inode(ino)
        return self._commit.slot_of(key)
