"""Ids that the vendor has given out beforehand: a file made here has its vendor's id before it is sent.

Rule: an id is used once; that is what makes a create that is tried twice one file.
"""

import json

from trivet.upstream.standing import Upstream

_SETTING = "ids"
_AT_ONCE = 200


class NewIds:
    """A store of ids, filled again when it is used up."""

    def __init__(self, up: Upstream) -> None:
        self._up = up

    async def take(self) -> str:
        """Return an id that nobody has used."""
        kept = await self._up.store.setting(_SETTING)
        ids: list[str] = json.loads(kept) if kept else []
        if not ids:
            vendor = self._up.vendor
            ids = await vendor.call("get", lambda: vendor.api.generate_ids(_AT_ONCE))
        taken = ids.pop()
        await self._up.store.keep(_SETTING, json.dumps(ids))
        return taken
