"""The calls of the volume protocol that move bodies of files, through the keeper or past it.

Rule: a result is msgpack of what the docstring names, of the operation's result otherwise; bytes of a file go
in the body of the frame.
"""

from typing import Annotated

import msgspec

from trivet.volume.call_types import NAMES_MAX, BlobNames, Call, ChangingCall, Name, Number
from trivet.volume.interface import Caller, Snapshot
from trivet.volume.stored_body import StoredBody
from trivet.wire.blobs import BlobRef

READ_MAX_BYTES = 1 << 20
PLAN_MAX_BYTES = 64 << 20


class Create(ChangingCall, frozen=True):
    """See Volume.create."""

    parent: Number
    name: Name
    mode: Number
    caller: Caller


class Open(ChangingCall, frozen=True):
    """See Volume.open."""

    ino: Number
    writing: bool
    truncate: bool
    sync: bool


class Read(Call, frozen=True):
    """See Volume.read; the bytes come in the body, the result is null."""

    handle: Number
    offset: Number
    size: Annotated[int, msgspec.Meta(ge=0, le=READ_MAX_BYTES)]


class PlanRead(Call, frozen=True):
    """Say where the bytes of some MiBs of an open file are; the result is a ReadPlan."""

    handle: Number
    offset: Number
    size: Annotated[int, msgspec.Meta(ge=0, le=PLAN_MAX_BYTES)]


class ReadPlan(msgspec.Struct, frozen=True, array_like=True):
    """What is stored in the MiBs from the first one asked for on, up to `end_mib`, which may come early."""

    end_mib: int
    body: StoredBody


class Write(ChangingCall, frozen=True):
    """See Volume.write; the bytes come in the body."""

    handle: Number
    offset: Number


class TakeNames(ChangingCall, frozen=True):
    """Lease `count` blob names, which end with the client unless they are used; the result is the first."""

    count: Annotated[int, msgspec.Meta(ge=1, le=NAMES_MAX)]


class BlobPart(msgspec.Struct, frozen=True, array_like=True):
    """`blob` holds the file's bytes from page `page` of MiB `mib` on; the banks at `bases` have it."""

    mib: Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)]
    page: Annotated[int, msgspec.Meta(ge=0, lt=256)]
    blob: BlobRef
    bases: list[int]


class PutBlobs(ChangingCall, frozen=True):
    """Let blobs under leased names, which two banks have, be what is written of an open file.

    EINVAL if one ends within a page before the end of the file.
    """

    handle: Number
    parts: Annotated[list[BlobPart], msgspec.Meta(min_length=1, max_length=NAMES_MAX)]


class BlobsStored(Call, frozen=True):
    """Tell that the bank at `base` has these blobs, too (True), or could not be given them (False)."""

    base: Number
    names: BlobNames
    well: bool


class BadCopies(Call, frozen=True):
    """Tell of blobs of which the bank at `base` had no good copy."""

    base: Number
    names: BlobNames


class Flush(Call, frozen=True):
    """See Volume.flush."""

    handle: Number


class FSync(Call, frozen=True):
    """See Volume.fsync."""

    handle: Number


class Release(ChangingCall, frozen=True):
    """See Volume.release."""

    handle: Number


class OpenSnapshot(ChangingCall, frozen=True):
    """See VersionedVolume.open_snapshot; the result is a HeldBody."""

    ino: Number


class HeldBody(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot with the plan of its first PLAN_MAX_BYTES."""

    snapshot: Snapshot
    plan: ReadPlan


class Publish(ChangingCall, frozen=True):
    """See VersionedVolume.publish; exchange_content is one that expects no version."""

    staged: Number
    target: Number
    expected_version: Number | None
    unwritten: bool = False
