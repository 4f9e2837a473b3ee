"""What happens at the vendor: its tree once, then its changes, asked for again and again.

Rule: the place in the vendor's changes is kept before its tree is listed, so that nothing falls between.
Rule: a place is kept only when all that was told up to there has been taken over.
"""

from trivet.io.drive_api import VendorChange, VendorFile, VendorTrouble
from trivet.upstream.settling import Settler
from trivet.upstream.standing import Upstream

_TOKEN = "token"
_LISTED = "listed"
_PARENTS_AT_ONCE = 40
_GONE = (400, 404, 410)


class Poller:
    """Takes over what the vendor tells; `left_out` counts its own documents, which have no bytes."""

    def __init__(self, up: Upstream, settler: Settler) -> None:
        self._up = up
        self._settler = settler
        self.left_out = 0

    async def step(self) -> None:
        """List the vendor's tree if that was not done, else take over what has changed."""
        store, vendor = self._up.store, self._up.vendor
        token = await store.setting(_TOKEN)
        if token is None:
            token = await vendor.call("get", vendor.api.start_token)
            await store.keep(_TOKEN, token)
        if await store.setting(_LISTED) is None:
            await self._list_below([self._up.mirror.root])
            await store.keep(_LISTED, "1")
        await self._changes(token)

    async def _changes(self, token: str) -> None:
        vendor = self._up.vendor
        while True:
            asked = token
            try:
                page = await vendor.call("list", lambda: vendor.api.changes(asked))  # noqa: B023 - called now
            except VendorTrouble as trouble:
                if trouble.status not in _GONE:
                    raise
                await self._up.store.write("DELETE FROM settings WHERE name IN (?, ?)", _TOKEN, _LISTED)
                return
            for change in page.changes:
                await self._take(change)
            token = page.next_page_token or page.new_start_page_token or token
            if token != asked:
                await self._up.store.keep(_TOKEN, token)
            if page.next_page_token is None:
                return

    async def _take(self, change: VendorChange) -> None:
        if change.file_id is None:
            return
        file = None if change.removed or change.file is None or change.file.trashed else change.file
        was_here = await self._up.mirror.by_id(change.file_id) is not None
        taken = await self._settler.apply(change.file_id, file)
        if taken and not was_here and file is not None and file.is_folder:
            await self._list_below([file.id])

    async def _list_below(self, parents: list[str]) -> None:
        """Take over all that is below some folders, a level at a time."""
        vendor = self._up.vendor
        while parents:
            some, parents = parents[:_PARENTS_AT_ONCE], parents[_PARENTS_AT_ONCE:]
            where = " or ".join(f"'{one}' in parents" for one in some)
            q = f"({where}) and trashed = false"
            token: str | None = None
            while True:
                asked = token
                page = await vendor.call("list", lambda: vendor.api.files(q, asked))  # noqa: B023 - called now
                for file in page.files:
                    parents += await self._found(file)
                token = page.next_page_token
                if token is None:
                    break

    async def _found(self, file: VendorFile) -> list[str]:
        if not (file.is_folder or file.has_bytes):
            self.left_out += 1
            return []
        await self._settler.apply(file.id, file)
        return [file.id] if file.is_folder else []
