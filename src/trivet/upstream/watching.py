"""What happens to the tree here: each change of the volume is looked at, what is ours goes into the outbox.

Rule: the place in the history of changes is kept only when what was found is in the outbox.
Rule: a file that is being written waits until it has been quiet for a while.
"""

from trivet.errors import ChangesExpired
from trivet.upstream.cached_bodies import CachedBodies
from trivet.upstream.new_ids import NewIds
from trivet.upstream.outbox import Outbox
from trivet.upstream.removals import Removals
from trivet.upstream.standing import Look, Row, Upstream
from trivet.volume.interface import Change

_SLOT = "slot"
_STEP = 500
_WAIT_S = 20.0
#: Looking at changes takes less, unless ids are missing and the vendor gives out none.
BEHIND_S = 5.0


class Watcher:
    """Watches the tree of `up`; a changed file is settled `quiet_s` after its last change."""

    def __init__(
        self,
        up: Upstream,
        outbox: Outbox,
        ids: NewIds,
        bodies: CachedBodies,
        removals: Removals,
        quiet_s: float,
    ) -> None:
        self._up = up
        self._bodies = bodies
        self._outbox = outbox
        self._ids = ids
        self._removals = removals
        self._quiet_s = quiet_s
        #: Since when there is something to look at, Unix time; None when all was looked at.
        self._behind_since_s: float | None = None

    def is_behind(self, now_s: float) -> bool:
        """Tell whether there has been something to look at for a while."""
        return self._behind_since_s is not None and now_s - self._behind_since_s > BEHIND_S

    async def run(self) -> None:
        """Watch until cancelled; the first time from now on."""
        while True:
            await self.step(_WAIT_S)

    async def step(self, wait_s: float) -> None:
        """Look at what has happened; wait up to `wait_s` if nothing has."""
        up = self._up
        slot = await self._slot()
        if not await up.volume.wait_changed(slot, wait_s):
            return
        if self._behind_since_s is None:
            self._behind_since_s = up.now_s()
        try:
            found, next_slot = await up.volume.changes(slot, _STEP)
        except ChangesExpired:
            next_slot = await up.volume.newest_slot()
            await self._look_at_all()
            await self._bodies.list_anew()
            found = []
        for change in found:
            await self._look(change)
        await up.store.keep(_SLOT, str(next_slot))
        self._behind_since_s = None

    async def _slot(self) -> int:
        kept = await self._up.store.setting(_SLOT)
        if kept is None:
            kept = str(await self._up.volume.newest_slot())
            await self._up.store.keep(_SLOT, kept)
        return int(kept)

    async def _look(self, change: Change) -> None:
        up = self._up
        row = await up.mirror.by_ino(change.ino)
        found = None if change.removed else await up.look(change.ino)
        if row is None:
            if found is not None:
                await self._new(change.ino, found)
        else:
            await self._differs(row, found)
        await self._bodies.look(change.ino, found)

    async def _differs(self, row: Row, found: Look | None) -> None:
        """Note a file that is not as it was agreed, or gone."""
        if found is not None and self._stands(row, found):
            return
        if found is None and row.agreed:
            await self._removals.note(row)
        await self._note(row.id)

    def _stands(self, row: Row, found: Look) -> bool:
        """Tell whether a file is as it was agreed."""
        same = (found.parent, found.mount_name) == (row.parent, row.mount_name)
        if same and found.is_file:
            attributes = found.attributes
            same = (attributes.size, attributes.mtime_ns) == (row.size, row.mtime_ns)
        return same and row.agreed

    async def _new(self, ino: int, found: Look) -> None:
        """Give a file or folder of ours an id, and all that is below it."""
        up = self._up
        if ino == up.mirror.at or not found.is_ours or await up.away_id(ino) is not None:
            return
        called = (await up.metadata(ino)).name_for(found.mount_name)
        row = Row(
            id=await self._ids.take(), ino=ino, parent=found.parent, name=called,
            mount_name=found.mount_name, md5="" if found.is_file else None, size=-1, mtime_ns=-1,
            agreed=False,
        )  # fmt: skip
        await up.mirror.put(row)
        await self._note(row.id)
        if not found.is_file:
            await self._look_below(ino)

    async def _look_below(self, ino: int) -> None:
        up, cookie = self._up, 0
        while entries := await up.volume.listing(ino, cookie, _STEP):
            for entry in entries:
                if entry.name in (b".", b".."):
                    continue
                await self._look(Change(0, entry.attributes.ino, False))
                if await up.mirror.by_ino(entry.attributes.ino) is not None:
                    await self._look_below_folder(entry.attributes.ino)
            cookie = entries[-1].cookie

    async def _look_below_folder(self, ino: int) -> None:
        row = await self._up.mirror.by_ino(ino)
        if row is not None and row.md5 is None and row.agreed:
            await self._look_below(ino)

    async def _look_at_all(self) -> None:
        """Look at the whole tree: what happened meanwhile is forgotten."""
        up = self._up
        rows = await up.store.rows("SELECT id, ino FROM mirror WHERE ino IS NOT NULL")
        for file_id, ino in rows:
            row, found = await up.mirror.by_id(file_id), await up.look(ino)
            if row is not None:
                await self._differs(row, found)
        await self._look_below(up.mirror.at)

    async def _note(self, file_id: str) -> None:
        now_s = self._up.now_s()
        await self._outbox.add(file_id, now_s + self._quiet_s, now_s)
        self._up.wake.set()
