"""What clients of the volume door asked for and were answered, beside the changes themselves.

Rule: a client's record changes in the same step as what it asked for, so that one entry holds both.
Rule: a client that was not here for FORGET_AFTER_S is forgotten, of more than CLIENTS_MAX the one that asked
the longest ago; the doors of this process itself leave no records.
"""

from collections.abc import Callable, Collection
from contextvars import ContextVar

import msgspec

from trivet.quorum.once import Call, answer_of, with_applied
from trivet.volume.namespace import Namespace
from trivet.wire.records import ASKED

CLIENTS_MAX = 1024
FORGET_AFTER_S = 120.0

#: The call that this task carries out, None for what is not asked for by a client of the door.
CALL: ContextVar[Call | None] = ContextVar("call", default=None)
_encode = msgspec.msgpack.Encoder().encode


class AskedCalls:
    """The clients' records of the volume in `space`; `slot_of` tells which of those loaded is the oldest."""

    def __init__(self, space: Namespace, slot_of: Callable[[bytes], int]) -> None:
        self._space = space
        self._records = space.asked
        self._here_at: dict[bytes, float] = {}
        for client in sorted(self._records, key=lambda client: slot_of(ASKED + client)):
            self._records[client] = self._records.pop(client)

    def note(self, answer: object) -> None:
        """Note that what was just changed is what a client asked for, which is told `answer`."""
        call = CALL.get()
        if call is None or not self._space.has_changes:
            return
        changes, records = self._space.changes.records, self._records
        record = with_applied(call, records.pop(call.client, None), _encode(answer))
        changes[call.key] = records[call.client] = record
        while len(records) > CLIENTS_MAX:
            oldest = next(iter(records))
            del records[oldest]
            changes[ASKED + oldest] = None

    def answer_of(self, call: Call) -> bytes | None:
        """Return what `call` was answered when it was carried out, None if it was not."""
        return answer_of(call, self._records.get(call.client))

    def forget(self, here: Collection[bytes], now: float) -> bool:
        """Forget who was not `here` for long, as this is asked again and again; tell whether anybody was."""
        records = self._records
        last = {client: now if client in here else self._here_at.get(client, now) for client in records}
        gone = [client for client, at in last.items() if now - at > FORGET_AFTER_S]
        for client in gone:
            del records[client], last[client]
            self._space.changes.records[ASKED + client] = None
        self._here_at = last
        return bool(gone)
