"""Which bodies of an upstream are in the banks, how large they are, and how warm.

Rule: whether a body is here is looked up in the volume whenever its file has changed, whoever did it; the
rows say no more than what was seen, and a walk through the tree makes them anew.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from trivet.drive.upstream.heat import warmed
from trivet.upstream.standing import Look, Upstream
from trivet.upstream.tree_walk import files_below

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS bodies (ino INTEGER PRIMARY KEY, size INTEGER NOT NULL, "
    "heat_s REAL NOT NULL, uses INTEGER NOT NULL, used_s REAL NOT NULL) STRICT",
    "CREATE INDEX IF NOT EXISTS bodies_heat ON bodies (heat_s)",
)
_SETTING = "bodies listed"
_COLUMNS = "ino, size, heat_s, uses, used_s"


class Body(msgspec.Struct, frozen=True):
    """One body in the banks; `uses` since it came, `used_s` when it came or was used last."""

    ino: int
    size: int
    heat_s: float
    uses: int
    used_s: float


class CachedBodies:
    """The bodies of `up`: `items` of them, `size_bytes` in all; `begin` it."""

    def __init__(self, up: Upstream) -> None:
        self._up = up
        self.items = 0
        self.size_bytes = 0
        self._noting = asyncio.Lock()
        #: Opened before it was noted that the body is here: looked for once more.
        self._early: dict[int, int] = {}

    async def begin(self) -> None:
        """Make the table if need be, and fill it the first time."""
        for statement in _SCHEMA:
            await self._up.store.write(statement)
        row = await self._up.store.row("SELECT count(*), coalesce(sum(size), 0) FROM bodies")
        self.items, self.size_bytes = row or (0, 0)
        if await self._up.store.setting(_SETTING) is None:
            await self.list_anew()
            await self._up.store.keep(_SETTING, "1")

    async def list_anew(self) -> None:
        """Look at every file of the tree."""
        up = self._up
        known = {ino for (ino,) in await up.store.rows("SELECT ino FROM bodies")}
        async for found in files_below(up.volume, "", up.mirror.at):
            known.discard(found.ino)
            async with self._noting:
                await self._note(found.ino, 0 if found.away else found.size)
        for ino in known:
            await self._forget(ino)

    async def look(self, ino: int, found: Look | None) -> None:
        """Note whether the body of `ino`, which stands as `found`, is here."""
        size = found.attributes.size if found is not None and found.is_file else 0
        if size:
            async with self._noting:
                is_away = await self._up.away_id(ino) is not None
                await self._note(ino, 0 if is_away else size)
        else:
            await self._forget(ino)

    async def _forget(self, ino: int) -> None:
        async with self._noting:
            await self._note(ino, 0)

    async def _note(self, ino: int, size: int) -> None:
        store, now_s = self._up.store, self._up.now_s()
        row = await store.row("SELECT size FROM bodies WHERE ino = ?", ino)
        if row is None and not size:
            return
        before = 0 if row is None else row[0]
        if not size:
            await store.write("DELETE FROM bodies WHERE ino = ?", ino)
        elif row is None:
            await store.write("INSERT INTO bodies VALUES (?, ?, ?, 0, ?)", ino, size, now_s, now_s)
        elif size != before:
            await store.write("UPDATE bodies SET size = ? WHERE ino = ?", size, ino)
        self.items += bool(size) - bool(before)
        self.size_bytes += size - before

    async def used(self, uses: Sequence[tuple[int, int]]) -> int:
        """Count how often files were opened; return how often bodies of ours were."""
        store, now_s, total = self._up.store, self._up.now_s(), 0
        rows, early = [], self._early
        self._early = {}
        for ino, count in [*early.items(), *uses]:
            count -= self._up.own_opens.pop(ino, 0)
            if count <= 0:
                continue
            row = await store.row("SELECT heat_s FROM bodies WHERE ino = ?", ino)
            if row is not None:
                rows.append((warmed(row[0], now_s, count), count, now_s, ino))
                total += count
            elif ino not in early:
                self._early[ino] = count
        if rows:
            await store.write_all(
                "UPDATE bodies SET heat_s = ?, uses = uses + ?, used_s = ? WHERE ino = ?", rows
            )
        return total

    async def coldest(self, used_before_s: float, limit: int) -> list[Body]:
        """Return the coldest bodies that nobody has used since `used_before_s`."""
        rows = await self._up.store.rows(
            f"SELECT {_COLUMNS} FROM bodies WHERE used_s <= ? ORDER BY heat_s LIMIT ?", used_before_s, limit
        )
        return [Body(*row) for row in rows]

    async def warmest(self, limit: int) -> list[Body]:
        """Return the bodies that are kept longest."""
        rows = await self._up.store.rows(
            f"SELECT {_COLUMNS} FROM bodies WHERE uses > 0 ORDER BY heat_s DESC LIMIT ?", limit
        )
        return [Body(*row) for row in rows]
