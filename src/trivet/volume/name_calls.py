"""The calls of the volume protocol that concern names, attributes and the history of changes.

Rule: each call is one operation of the volume (`volume/interface.py`); its result is msgpack of the result.
"""

from typing import Annotated

import msgspec

from trivet.volume.call_types import WAIT_MAX_S, Call, ChangingCall, Limit, Name, Number
from trivet.volume.interface import AttributeChanges, Caller


class Lookup(Call, frozen=True):
    """See Volume.lookup."""

    parent: Number
    name: Name


class GetAttr(Call, frozen=True):
    """See Volume.getattr."""

    ino: Number


class SetAttr(ChangingCall, frozen=True):
    """See Volume.setattr."""

    ino: Number
    to: AttributeChanges


class ReadLink(Call, frozen=True):
    """See Volume.readlink."""

    ino: Number


class OpenDir(Call, frozen=True):
    """See Volume.opendir."""

    ino: Number


class Listing(Call, frozen=True):
    """See Volume.listing."""

    ino: Number
    after_cookie: Number
    limit: Limit


class MkDir(ChangingCall, frozen=True):
    """See Volume.mkdir."""

    parent: Number
    name: Name
    mode: Number
    caller: Caller


class MkNod(ChangingCall, frozen=True):
    """See Volume.mknod."""

    parent: Number
    name: Name
    mode: Number
    rdev: Number
    caller: Caller


class SymLink(ChangingCall, frozen=True):
    """See Volume.symlink."""

    parent: Number
    name: Name
    target: Name
    caller: Caller


class Link(ChangingCall, frozen=True):
    """See Volume.link."""

    ino: Number
    parent: Number
    name: Name


class Unlink(ChangingCall, frozen=True):
    """See Volume.unlink."""

    parent: Number
    name: Name


class RmDir(ChangingCall, frozen=True):
    """See Volume.rmdir."""

    parent: Number
    name: Name


class Rename(ChangingCall, frozen=True):
    """See Volume.rename."""

    parent: Number
    name: Name
    new_parent: Number
    new_name: Name
    replace: bool
    exchange: bool


class FSyncDir(Call, frozen=True):
    """See Volume.fsyncdir."""

    ino: Number


class GetXattr(Call, frozen=True):
    """See Volume.getxattr."""

    ino: Number
    name: Name


class SetXattr(ChangingCall, frozen=True):
    """See Volume.setxattr."""

    ino: Number
    name: Name
    value: bytes
    create: bool
    replace: bool


class ListXattr(Call, frozen=True):
    """See Volume.listxattr."""

    ino: Number


class RemoveXattr(ChangingCall, frozen=True):
    """See Volume.removexattr."""

    ino: Number
    name: Name


class StatFs(Call, frozen=True):
    """See Volume.statfs."""


class NamesOf(Call, frozen=True):
    """See VersionedVolume.names_of."""

    ino: Number


class Version(Call, frozen=True):
    """See VersionedVolume.version."""

    ino: Number


class Describe(Call, frozen=True):
    """See VersionedVolume.describe."""

    ino: Number
    xattr: Name


class DescribedListing(Call, frozen=True):
    """See VersionedVolume.described_listing."""

    ino: Number
    after_cookie: Number
    limit: Limit
    xattr: Name
    with_versions: bool


class TakeUses(Call, frozen=True):
    """See VersionedVolume.take_uses."""


class NewestSlot(Call, frozen=True):
    """See VersionedVolume.newest_slot."""


class Changes(Call, frozen=True):
    """See VersionedVolume.changes."""

    after_slot: Number
    limit: Limit


class WaitChanged(Call, frozen=True):
    """See VersionedVolume.wait_changed."""

    after_slot: Number
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=WAIT_MAX_S)]
