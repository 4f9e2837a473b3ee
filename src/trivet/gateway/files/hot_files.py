"""Small files asked for again and again, kept by a worker; asking for the version proves them.

Rule: nothing is served from here unless the volume has just said that the file is at that very version.
Rule: what is kept is told only to those who may read everything: it says nothing of folders above.
"""

from collections import OrderedDict
from errno import ENOENT, ESTALE

import msgspec

from trivet.drive.rights import Principal
from trivet.errors import FileSystemError
from trivet.volume.interface import VersionedVolume

KEPT_BYTES = 32 << 20


class HotFile(msgspec.Struct, frozen=True):
    """A file's bytes at one version, and the headers that go with them."""

    ino: int
    version: int
    headers: dict[str, str]
    data: bytes


class HotFiles:
    """At most KEPT_BYTES of files by id; what was asked for longest ago goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, HotFile] = OrderedDict()
        self._bytes = 0

    async def get(self, volume: VersionedVolume, file_id: str, who: Principal) -> HotFile | None:
        """Return the file if it is kept, has not changed, and `who` may read everything."""
        found = self._kept.get(file_id)
        if found is None or not who.may("r", "/"):
            return None
        try:
            version = await volume.version(found.ino)
        except FileSystemError as error:
            if error.errno not in {ENOENT, ESTALE}:
                raise
            version = -1
        if version != found.version:
            self._drop(file_id)
            return None
        self._kept.move_to_end(file_id)
        return found

    def keep(self, file_id: str, file: HotFile) -> None:
        """Keep a file."""
        self._drop(file_id)
        self._kept[file_id] = file
        self._bytes += len(file.data)
        while self._bytes > KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, file_id: str) -> None:
        found = self._kept.pop(file_id, None)
        if found is not None:
            self._bytes -= len(found.data)
