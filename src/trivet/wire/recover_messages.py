"""What `recover` answers: what accepting a loss means, sentence by sentence and operation by operation.

Rule: as in control_messages.py: fields are added, never renamed; lists are bounded, what is left out counted.
"""

from datetime import datetime
from typing import Literal

import msgspec

RecoverWhat = Literal["accept_rollback", "accept_cut"]
OperationWhat = Literal["created", "written", "changed", "renamed", "named", "removed"]


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change that people made, as entry `slot` of the journal says it, `at_ns` on the keeper's clock.

    `path` (for a renaming the old one, `to` the new one) is text as in path_text.py; "(inode 17)" stands for
    what no name is known of. "named" is a further name, or one of several moves in one entry; "changed"
    means attributes. `held_by` are the banks (base ports) whose journals still hold the entry.
    """

    slot: int
    what: OperationWhat
    path: str
    to: str = ""
    at_ns: int | None = None
    held_by: list[int] = []


class RecoverReport(msgspec.Struct, frozen=True):
    """What accepting a loss means (`apply` false) or has meant (`done` true).

    `lost` names what goes, one sentence each; `slot_before` is the last slot known to have been
    acknowledged, `slot_after` the one history ends with afterwards. `operations` are those that go, by slots,
    as far as they are known; `operations_left_out` more stand between the first half and the second.
    """

    needed: bool
    done: bool
    slot_before: int | None = None
    slot_after: int | None = None
    lost: list[str] = []
    lost_left_out: int = 0
    operations: list[Operation] = []
    operations_left_out: int = 0


def moment_text(at_ns: int) -> str:
    """Return a time (ns since 1970) as people here read it, to the second, with its distance from UTC."""
    return datetime.fromtimestamp(at_ns // 10**9).astimezone().isoformat(" ")
