"""The requests of the kernel that concern extended attributes."""

from collections.abc import Sequence

import pyfuse3
from pyfuse3 import InodeT, RequestContext, XAttrNameT

from trivet.mount.translate import by_number
from trivet.volume.interface import MountableVolume


class XattrOperations(pyfuse3.Operations):
    """The part of the mount's door that serves extended attributes of `volume`."""

    def __init__(self, volume: MountableVolume) -> None:
        super().__init__()
        self._volume = volume
        self._numbers = volume.numbers

    def _inode(self, number: int) -> int:
        return self._numbers.inode(number)

    @by_number
    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        """Return one extended attribute; the kernel asks before every write, so this must answer fast."""
        return await self._volume.getxattr(self._inode(inode), name)

    @by_number
    async def setxattr(self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext) -> None:
        """Set an extended attribute; pyfuse3 has already seen to XATTR_CREATE and XATTR_REPLACE."""
        await self._volume.setxattr(self._inode(inode), name, value, create=False, replace=False)

    @by_number
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        """List the names of extended attributes; those of the system are for its administrator."""
        names = await self._volume.listxattr(self._inode(inode))
        return [XAttrNameT(name) for name in names if ctx.uid == 0 or not name.startswith(b"trusted.")]

    @by_number
    async def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        """Remove an extended attribute."""
        await self._volume.removexattr(self._inode(inode), name)
