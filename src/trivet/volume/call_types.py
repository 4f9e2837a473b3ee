"""What every call of the volume protocol is, and the limits of its fields.

Rule: limits stand in the types: a call that breaks one is not of this protocol.
"""

from typing import Annotated, ClassVar

import msgspec

NAMES_MAX = 256
LIMIT_MAX = 10_000
WAIT_MAX_S = 60.0

Number = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Name = Annotated[bytes, msgspec.Meta(max_length=65_536)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)]
BlobNames = Annotated[list[int], msgspec.Meta(max_length=NAMES_MAX)]


class Call(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What every call is; `changes` tells those that must be done once from those that may be repeated."""

    changes: ClassVar[bool] = False


class ChangingCall(Call, frozen=True):
    """A call that changes something."""

    changes: ClassVar[bool] = True
