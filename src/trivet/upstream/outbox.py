"""What must still be settled with the vendor: one row a file, in the order in which it became due.

Rule: a row goes only if nothing happened to the file since the work on it began (`seq` is the same).
"""

import itertools

import msgspec

from trivet.io.upstream_store import UpstreamStore

PAUSE_S, PAUSE_MAX_S = 2.0, 300.0
#: Unix time that never comes.
NEVER_S = 1e11


class Due(msgspec.Struct, frozen=True):
    """A file to be settled; `session` is the address of an upload under way, of content with this `md5`.

    Without a session `md5` is of content that may have arrived in one that the vendor has forgotten.
    """

    id: str
    seq: int
    attempts: int
    session: str | None
    md5: str | None


class Outbox:
    """The rows in `store`."""

    def __init__(self, store: UpstreamStore) -> None:
        self._store = store
        self._seq: itertools.count[int] | None = None

    async def add(self, file_id: str, due_s: float, now_s: float) -> None:
        """Note that a file must be settled, not before `due_s`; known already, it waits until then anew."""
        if self._seq is None:
            row = await self._store.row("SELECT coalesce(max(seq), 0) FROM outbox")
            self._seq = itertools.count((row[0] if row else 0) + 1)
        seq = next(self._seq)
        await self._store.write(
            "INSERT INTO outbox VALUES (?, ?, 0, ?, NULL, NULL, NULL, ?) "
            "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, due_s = excluded.due_s, attempts = 0",
            *(file_id, seq, due_s, now_s),
        )

    async def has(self, file_id: str) -> bool:
        """Tell whether a file is to be settled."""
        return await self._store.row("SELECT 1 FROM outbox WHERE id = ?", file_id) is not None

    async def due(self, now_s: float, limit: int) -> list[Due]:
        """Return what may be settled now, the longest due first."""
        rows = await self._store.rows(
            "SELECT id, seq, attempts, session, md5 FROM outbox WHERE due_s <= ? ORDER BY due_s, seq LIMIT ?",
            *(now_s, limit),
        )
        return [Due(*row) for row in rows]

    async def next_due_s(self, now_s: float) -> float | None:
        """Return when the next one will be due, None if none will."""
        row = await self._store.row("SELECT min(due_s) FROM outbox WHERE due_s > ?", now_s)
        return None if row is None else row[0]

    async def done(self, due: Due) -> None:
        """Take a row away, unless something happened to the file meanwhile."""
        await self._store.write("DELETE FROM settings WHERE name = ?", _sent(due.id))
        await self._store.write("DELETE FROM outbox WHERE id = ? AND seq = ?", due.id, due.seq)
        await self._store.write("UPDATE outbox SET session = NULL, md5 = NULL WHERE id = ?", due.id)

    async def later(self, due: Due, error: str, now_s: float, pause_s: float | None = None) -> None:
        """Settle it later; the pause grows with the tries unless it is told."""
        if pause_s is None:
            pause_s = min(PAUSE_S * 2 ** min(due.attempts, 20), PAUSE_MAX_S)
        await self._store.write(
            "UPDATE outbox SET attempts = attempts + 1, error = ?, due_s = max(due_s, ?) WHERE id = ?",
            *(error[:500], now_s + pause_s, due.id),
        )

    async def keep_session(self, file_id: str, session: str | None, md5: str | None) -> None:
        """Keep where an upload goes on, also after a restart."""
        await self._store.write("UPDATE outbox SET session = ?, md5 = ? WHERE id = ?", session, md5, file_id)

    async def sent_names(self, file_id: str) -> list[str]:
        """Return the names that were sent since a file was last settled: any of them may have arrived."""
        kept = await self._store.setting(_sent(file_id))
        return [] if kept is None else kept.split("\0")

    async def may_have_arrived(self, due: Due) -> bool:
        """Tell whether anything of a file was sent that may have arrived; tries may be those of before."""
        return bool(due.attempts or due.session or due.md5 or await self.sent_names(due.id))

    async def keep_sent_name(self, file_id: str, name: str) -> None:
        """Keep a name before it is sent: its answer may be lost, and the next name's, too."""
        names = await self.sent_names(file_id)
        if name not in names:
            await self._store.keep(_sent(file_id), "\0".join([*names, name]))

    async def hurry(self, now_s: float) -> None:
        """Let everything that waits after a failure be due now: the vendor answers again."""
        await self._store.write("UPDATE outbox SET due_s = ? WHERE due_s > ? AND attempts > 0", now_s, now_s)

    async def keep_back(self, file_id: str) -> None:
        """Do not settle a file before it is released, or something happens to it."""
        await self._store.write("UPDATE outbox SET due_s = ?, attempts = 0 WHERE id = ?", NEVER_S, file_id)

    async def release(self, file_id: str, now_s: float) -> None:
        """Let a file be due now."""
        await self._store.write("UPDATE outbox SET due_s = ? WHERE id = ?", now_s, file_id)

    async def count(self) -> int:
        """Return how many files are to be settled."""
        row = await self._store.row("SELECT count(*) FROM outbox")
        return 0 if row is None else int(row[0])


def _sent(file_id: str) -> str:
    """Return the setting in which the names are that were sent."""
    return f"sent {file_id}"
