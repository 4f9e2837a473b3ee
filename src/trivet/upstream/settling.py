"""Carrying out who is right about a file: whatever changed on one side goes to the other.

Rule: before anything is changed at the vendor it is asked how the file stands now, never a cache; only what
was made here and never sent is not asked for first.
Rule: two contents are never made one: ours gets a name of its own, and people are told.
"""

from datetime import UTC, datetime

from trivet.drive.names import mount_name
from trivet.drive.upstream.reconciling import Decision, Side, decide
from trivet.io.drive_api import VendorFile, VendorTrouble
from trivet.upstream import placing
from trivet.upstream.fetching import Fetching
from trivet.upstream.new_ids import NewIds
from trivet.upstream.outbox import Due, Outbox
from trivet.upstream.removals import HELD_PAUSE_S, Removals
from trivet.upstream.sending import Sending, SessionGone
from trivet.upstream.standing import Here, Row, Upstream

_SOON_S, _REFRESHING_S = 1.0, 30.0
_FROM_HERE = " (changed here "


class Settler:
    """Settles files of `up`."""

    def __init__(
        self, up: Upstream, outbox: Outbox, work: tuple[Fetching, Sending], ids: NewIds, removals: Removals
    ) -> None:
        self._up = up
        self._outbox = outbox
        self._fetching, self._sending = work
        self._ids = ids
        self._removals = removals

    async def settle(self, due: Due) -> None:
        """Settle a file of the outbox; what the vendor or the volume refuses is raised."""
        async with self._up.claim(due.id):
            row = await self._up.mirror.by_id(due.id)
            if row is not None and due.session is not None:
                row, due = await self._look_at_session(row, due)
            was_sent = row is not None and (row.agreed or await self._outbox.may_have_arrived(due))
            file = await self._at_vendor(due.id) if was_sent else None
            if row is None and file is None:
                await self._outbox.done(due)
                return
            await self._carry(due, row, file)

    async def apply(self, file_id: str, file: VendorFile | None) -> bool:
        """Take over what the vendor tells of a file; True if something of the vendor's is here now.

        What can't be decided now is left to the outbox.
        """
        up = self._up
        if up.is_claimed(file_id) or await self._outbox.has(file_id):
            await self._outbox.add(file_id, up.now_s(), up.now_s())
            up.wake.set()
            return False
        async with up.claim(file_id):
            row = await up.mirror.by_id(file_id)
            there = await self._side(file)
            row, here = await self._known(row)
            if row is None and there is None:
                return False
            decision = _decide(row, here, there)
            if decision.content in ("agree", "take") and decision.names != "send":
                await self._take(row, here, file, decision)
                return True
            if decision.content in ("remove", "forget"):
                assert row is not None
                await self._remove(row)
                return False
            await self._outbox.add(file_id, up.now_s(), up.now_s())
            up.wake.set()
            return False

    async def _look_at_session(self, row: Row, due: Due) -> tuple[Row, Due]:
        """Return the row with what an upload under way has made, and `due` without one that is over."""
        try:
            made, md5 = await self._sending.finished(due), None
            if made is None:
                return row, due
            row = await self._arrived(row, made, due.md5 or "")
        except SessionGone:
            md5 = due.md5  # it may have been whole before: what was sent in it is remembered
        await self._outbox.keep_session(due.id, None, md5)
        return row, Due(due.id, due.seq, due.attempts + 1, None, md5)

    async def _carry(self, due: Due, row: Row | None, file: VendorFile | None) -> None:
        row, here = await self._known(row)
        theirs = await self._side(file)
        if row is not None and theirs is not None and theirs.name in await self._outbox.sent_names(row.id):
            row = row.changed(name=theirs.name, parent=theirs.parent)  # our own name, whose answer was lost
        if row is not None and row.agreed and theirs is not None and due.md5 and theirs.md5 == due.md5:
            row = row.changed(md5=due.md5, mtime_ns=-1)  # our own content, whose answer was lost
            await self._up.mirror.put(row)
        decision = _decide(row, here, theirs)
        if decision.content in ("forget", "remove") and row is not None:
            await self._remove(row)
        elif decision.content == "take":
            if not await self._take(row, here, file, decision):
                await self._outbox.later(due, "", self._up.now_s(), _REFRESHING_S)
                return
        elif decision.content == "agree" and row is not None and here is not None and file is not None:
            await self._agree(row, here, file, decision)
        elif decision.content == "trash" and row is not None:
            if row.agreed and not await self._removals.may_go_on():
                await self._outbox.later(due, "", self._up.now_s(), HELD_PAUSE_S)
                return
            await self._trash(row)
        elif decision.content == "both" and row is not None and here is not None and file is not None:
            await self._keep_both(row, here, file)
        elif row is not None and here is not None:
            if decision.names == "take" and file is not None:
                row = await placing.take_names(self._up, row, here, file, (file.parents or [""])[0])
                here = await self._here(row) or here
            if not await self._send(due, row, here, file):
                return
        await self._outbox.done(due)

    async def _send(self, due: Due, row: Row, here: Here, file: VendorFile | None) -> bool:
        """Send content, as a new file if the vendor has none; False if it must wait for its folder."""
        up = self._up
        parent = await up.mirror.by_id(here.side.parent)
        if here.side.parent != up.mirror.root and (parent is None or not parent.agreed):
            await self._outbox.later(due, "its folder is not at the vendor yet", up.now_s(), _SOON_S)
            return False
        if row.agreed and file is None:  # it is gone there, and was changed here: a new file
            fresh = row.changed(id=await self._ids.take(), agreed=False)
            await up.mirror.drop(row.id)
            await up.mirror.put(fresh)
            await self._outbox.add(fresh.id, up.now_s(), up.now_s())
            return True
        if here.side.md5 is None:
            made = await self._folder(row, here.side)
        else:
            made = await self._sending.send(due, row, here, new=file is None)
        row = await self._arrived(row, made, here.side.md5)
        if row.known == here.side:
            size, mtime_ns = here.attributes.size, here.attributes.mtime_ns
            await up.mirror.put(row.changed(size=size, mtime_ns=mtime_ns, mount_name=here.mount_name))
        else:  # it has another name by now, or came with wrong bytes
            await self._outbox.add(row.id, up.now_s(), up.now_s())
        return True

    async def _arrived(self, row: Row, made: VendorFile, md5: str | None) -> Row:
        """Keep what the vendor has after we sent content with this `md5`; return the row."""
        if md5 is not None and made.md5_checksum != md5:
            text = f"{row.name} arrived at the vendor with other bytes than were sent; sent again"
            await self._up.tell(text, self._up.user)
        row = row.changed(
            agreed=True, md5=None if md5 is None else made.md5_checksum or "", mtime_ns=-1,
            name=made.name, parent=(made.parents or [row.parent])[0],
        )  # fmt: skip
        await self._up.mirror.put(row)
        return row

    async def _folder(self, row: Row, side: Side) -> VendorFile:
        body = {"id": row.id, "name": side.name, "parents": [side.parent]}
        await self._outbox.keep_sent_name(row.id, side.name)
        api = self._up.vendor.api
        return await self._up.vendor.call("update", lambda: api.create_folder(body), once=True)

    async def _agree(self, row: Row, here: Here, file: VendorFile, decision: Decision) -> None:
        """Both hold the same content; a name goes to the side that has the old one."""
        up = self._up
        if decision.names == "send":
            side, old = here.side, (file.parents or [""])[0]
            add, remove = (side.parent, old) if side.parent != old else ("", "")
            await self._outbox.keep_sent_name(row.id, side.name)
            await up.vendor.call(
                "update", lambda: up.vendor.api.update(row.id, {"name": side.name}, add, remove), once=True
            )
        elif decision.names == "take":
            row = await placing.take_names(up, row, here, file, (file.parents or [""])[0])
            here = await self._here(row) or here
        name, parent = here.side.name, here.side.parent
        if decision.names == "take":
            name, parent = row.name, row.parent
        await up.mirror.put(
            row.changed(
                agreed=True, name=name, parent=parent, mount_name=here.mount_name, md5=here.side.md5,
                size=here.attributes.size, mtime_ns=here.attributes.mtime_ns,
            )
        )  # fmt: skip

    async def _take(
        self, row: Row | None, here: Here | None, file: VendorFile | None, decision: Decision
    ) -> bool:
        """Take over what the vendor has; False if its content is on the way."""
        assert file is not None
        up, parent = self._up, (file.parents or [""])[0]
        if row is None or here is None:
            parent_ino = await up.mirror.folder_ino(parent)
            if parent_ino is not None and (file.is_folder or file.has_bytes):
                await placing.place_new(up, file, parent, parent_ino)
            return True
        if decision.names == "take":
            row = await placing.take_names(up, row, here, file, parent)
        if decision.content == "agree":
            return True
        if here.is_away:
            await placing.replace_placeholder(up, row, file)
            return True
        if not await self._outbox.has(row.id):
            await self._outbox.add(row.id, up.now_s() + _REFRESHING_S, up.now_s())
        await self._fetching.refresh(row, file)
        return False

    async def _trash(self, row: Row) -> None:
        up = self._up
        await up.vendor.call(
            "update", lambda: up.vendor.api.update(row.id, {"trashed": True}, "", ""), once=True
        )
        await self._forget(row)

    async def _forget(self, row: Row) -> None:
        """Forget a file and what is below it."""
        if row.md5 is None:
            for child in await self._up.mirror.children(row.id):
                await self._forget(child)
        await self._up.mirror.drop(row.id)

    async def _remove(self, row: Row) -> None:
        """Remove what is gone at the vendor, children first; what was changed here goes there anew."""
        up = self._up
        if row.md5 is None:
            for child in await up.mirror.children(row.id):
                await self.apply(child.id, None)
        here = await self._here(row)
        if here is None:
            await self._forget(row)
        elif not await placing.remove_here(up, row, here):
            fresh = row.changed(id=await self._ids.take(), agreed=False)
            await up.store.write("UPDATE mirror SET parent = ? WHERE parent = ?", fresh.id, row.id)
            await up.mirror.drop(row.id)
            await up.mirror.put(fresh)
            await self._outbox.add(fresh.id, up.now_s(), up.now_s())
            up.wake.set()

    async def _keep_both(self, row: Row, here: Here, file: VendorFile) -> None:
        """Let ours be a file of its own, under a name that says so, and the vendor's have the name."""
        up = self._up
        stamp = datetime.fromtimestamp(up.now_s(), UTC)
        ino, key = await placing.staged_placeholder(up, file)
        name = here.side.name
        if _FROM_HERE not in name:
            stem, dot, ending = name.rpartition(".")
            stem, ending = (stem, dot + ending) if stem else (name, "")
            name = f"{stem}{_FROM_HERE}{stamp:%Y-%m-%d %H.%M.%S}){ending}"
        now = here.mount_name if mount_name(name) == here.mount_name else None
        chosen = await placing.rename_free(
            up, here.parent_ino, here.mount_name.encode(), here.parent_ino, name, now
        )
        await placing.describe_name(up, here.attributes.ino, name, chosen)
        ours = row.changed(id=await self._ids.take(), name=name, mount_name=chosen, md5="", agreed=False)
        await up.mirror.drop(row.id)
        await up.mirror.put(ours)
        await self._outbox.add(ours.id, up.now_s(), up.now_s())
        parent = (file.parents or [row.parent])[0]
        parent_ino = await up.mirror.folder_ino(parent) or here.parent_ino
        await placing.name_placeholder(up, file, parent, parent_ino, ino, key)
        text = f"{row.name} was changed here and at the vendor; what was here is now {chosen}"
        await up.tell(text, await up.author_of(here.attributes))

    async def _known(self, row: Row | None) -> tuple[Row | None, Here | None]:
        here = await self._here(row)
        if row is not None and here is None and await placing.is_unfinished(self._up, row):
            return None, None
        return row, here

    async def _here(self, row: Row | None) -> Here | None:
        return None if row is None else await self._up.here(row.ino, row)

    async def _side(self, file: VendorFile | None) -> Side | None:
        """Return how a file stands at the vendor; None if it is not in the tree."""
        if file is None or file.trashed or not (file.is_folder or file.has_bytes):
            return None
        parent = (file.parents or [""])[0]
        if await self._up.mirror.folder_ino(parent) is None:
            return None
        return Side(file.name, parent, None if file.is_folder else file.md5_checksum or "")

    async def _at_vendor(self, file_id: str) -> VendorFile | None:
        try:
            file = await self._up.vendor.call("get", lambda: self._up.vendor.api.get(file_id))
        except VendorTrouble as trouble:
            if trouble.status == 404:
                return None
            raise
        return None if file.trashed else file


def _decide(row: Row | None, here: Here | None, there: Side | None) -> Decision:
    """Decide about a file; what we were sending when it was removed here is removed there."""
    if row is not None and not row.agreed and here is None and there is not None:
        return Decision("trash")
    return decide(row.known if row else None, here.side if here else None, there)
