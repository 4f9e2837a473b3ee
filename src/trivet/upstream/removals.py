"""Removals on their way to the vendor: noted when they happen here, held back when they are very many.

Rule: what is held stays at the vendor, over restarts too, until somebody allows it or wants it back.
"""

import asyncio
from contextlib import suppress

from trivet.drive.upstream.removal_guard import RemovalLimits
from trivet.io.drive_api import VendorTrouble
from trivet.upstream.outbox import Outbox
from trivet.upstream.standing import Row, Upstream

HELD_PAUSE_S = 3600.0
_HELD = "removals held"
#: A row and all that is below it.
_BELOW = """
INSERT OR IGNORE INTO removals WITH RECURSIVE below (id) AS (
  VALUES (?) UNION SELECT mirror.id FROM mirror JOIN below ON mirror.parent = below.id
) SELECT id, ? FROM below
"""
_TOPMOST = """
SELECT id, ino FROM removals JOIN mirror USING (id) WHERE parent NOT IN (SELECT id FROM removals)
"""


class Removals:
    """What was removed here lately, against `limits`."""

    def __init__(self, up: Upstream, outbox: Outbox, limits: RemovalLimits) -> None:
        self._up = up
        self._outbox = outbox
        self._limits = limits
        self._deciding = asyncio.Lock()

    async def note(self, row: Row) -> None:
        """Note that a file or folder is gone here, with all that was in it."""
        await self._up.store.write(_BELOW, row.id, self._up.now_s())

    async def may_go_on(self) -> bool:
        """Tell whether removals may be carried out; too many are held from here on, and people are told."""
        async with self._deciding:
            return await self._decide()

    async def _decide(self) -> bool:
        up = self._up
        if await self.held() is not None:
            return False
        before_s = up.now_s() - self._limits.window_s
        await up.store.write("DELETE FROM removals WHERE at_s < ?", before_s)
        if not self._limits.holds(*await self._counts()):
            return True
        await self._drop_returned()
        removed, files = await self._counts()
        if not self._limits.holds(removed, files):
            return True
        await up.store.keep(_HELD, str(up.now_s()))
        await up.tell(
            f"{removed:,} files and folders were removed from {up.name} in a short time. They are still at "
            "the vendor, until somebody allows the removal or wants them back",
            "",
        )
        return False

    async def held(self) -> int | None:
        """Return how many removals are held, None if none are."""
        if await self._up.store.setting(_HELD) is None:
            return None
        return (await self._counts())[0]

    async def allow(self, by: str) -> int:
        """Let what is held be carried out; return how many removals that are."""
        held = await self.held()
        if held is None:
            return 0
        await self._end(f"{by} has allowed the removal of {held:,} files and folders of {self._up.name}")
        return held

    async def undo(self, by: str) -> int:
        """Let what was removed appear here again, as the vendor has it; return how many that are."""
        up = self._up
        held = await self.held()
        if held is None:
            return 0
        gone = await up.store.rows(
            "SELECT id FROM removals WHERE id NOT IN (SELECT id FROM mirror) ORDER BY at_s DESC"
        )
        for (file_id,) in gone:  # carried out before there were too many
            with suppress(VendorTrouble):
                await self._untrash(file_id)
        for table in ("outbox", "mirror"):
            await up.store.write(f"DELETE FROM {table} WHERE id IN (SELECT id FROM removals)")
        await up.store.write("DELETE FROM settings WHERE name = 'listed'")
        await self._end(f"{by} has brought back {held:,} files and folders of {up.name}")
        return held

    async def _untrash(self, file_id: str) -> None:
        vendor = self._up.vendor
        await vendor.call("update", lambda: vendor.api.update(file_id, {"trashed": False}, "", ""))

    async def _end(self, text: str) -> None:
        up = self._up
        await up.store.write("DELETE FROM removals")
        await up.store.write("DELETE FROM settings WHERE name = ?", _HELD)
        await up.tell(text, "")
        await self._outbox.hurry(up.now_s())
        up.wake.set()

    async def _counts(self) -> tuple[int, int]:
        """Return how many were removed, and how many are left."""
        row = await self._up.store.row(
            "SELECT (SELECT count(*) FROM removals), "
            "(SELECT count(*) FROM mirror WHERE id NOT IN (SELECT id FROM removals))"
        )
        assert row is not None
        return int(row[0]), int(row[1])

    async def _drop_returned(self) -> None:
        """Forget what was only somewhere else for a moment: it is here, and so is the folder it is in."""
        up, is_any = self._up, True
        while is_any:
            is_any = False
            for file_id, ino in await up.store.rows(_TOPMOST):
                if await up.look(ino) is not None:
                    await up.store.write("DELETE FROM removals WHERE id = ?", file_id)
                    is_any = True
