"""The private directory: where doors keep uploads, trash and revisions, out of the root's reach.

Rule: it is made once, with its three folders, and never goes; what stands in it are files like any other.
"""

from stat import S_IFDIR

from trivet.volume.interface import PRIVATE_INO, REVISIONS, TRASH, UPLOADS
from trivet.volume.namespace import Namespace

_PERMISSIONS = 0o700


def make_private(space: Namespace, uid: int, gid: int, now_ns: int) -> None:
    """Give a volume its private directory."""
    space.make_top(PRIVATE_INO, _PERMISSIONS, uid, gid, now_ns)
    for name in (UPLOADS, TRASH, REVISIONS):
        space.make(PRIVATE_INO, name, S_IFDIR | _PERMISSIONS, uid, gid, now_ns)
