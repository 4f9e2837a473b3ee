"""Deliberate errors in the rooms of keeper and banks; only a run of the whole drive can notice them."""

from collections.abc import Callable
from typing import Any

import pytest

from trivet.bank.stored_paths import StoredPaths
from trivet.keeper import blob_service
from trivet.keeper.asked_calls import AskedCalls
from trivet.keeper.batches import Ticket
from trivet.keeper.submitting import Submitter
from trivet.keeper.volume_session import VolumeSession
from trivet.quorum.once import Call
from trivet.volume.interface import ROOT_INO
from trivet.wire.records import Row, entry_key, record_mac
from whole_drive import VOLUME_KEY

Patch = Callable[[pytest.MonkeyPatch], None]


def acknowledges_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """What was to be durable is told as soon as it is written, in the mode `always` too."""
    patch.setattr(Ticket, "durable", Ticket.acked)


def retries_without_a_nonce(patch: pytest.MonkeyPatch) -> None:
    """A change that a client sends again is done again."""

    def once(self: VolumeSession, call: Call, change: Any, real: Any = VolumeSession.once) -> Any:
        self._changes.pop(call.sequence, None)
        return real(self, call, change)

    patch.setattr(VolumeSession, "once", once)
    patch.setattr(AskedCalls, "answer_of", lambda *_: None)


def takes_any_copy_of_a_blob(patch: pytest.MonkeyPatch) -> None:
    """Nobody checks what a bank gives for a blob, neither who reads nor who repairs."""
    patch.setattr(blob_service, "is_intact", lambda *_: True)


def adopts_foreign_entries(patch: pytest.MonkeyPatch) -> None:
    """What somebody put by hand becomes a file of that name."""

    async def put(self: Any, key: Any, value: Any, ttl: Any, real: Any = StoredPaths.put) -> bool:
        name, head = key.removeprefix(b"/"), self._acceptor.chain.head
        if head and await self._find(key) is None:
            entry, ino = entry_key(ROOT_INO, name), (1 << 40).to_bytes(8, "big")
            await self._records.put([Row(entry, head, ino, record_mac(VOLUME_KEY, entry, head, ino))])
            return True
        done: bool = await real(self, key, value, ttl)
        return done

    patch.setattr(StoredPaths, "put", put)


def tells_what_may_be_lost(patch: pytest.MonkeyPatch) -> None:
    """Who asks about a name is told what two banks do not have yet."""

    async def at_once(self: Submitter, ticket: Any) -> None:
        """Wait for nothing."""

    patch.setattr(Submitter, "_safe", at_once)


MUTANTS: tuple[Patch, ...] = (
    acknowledges_before_the_sync, retries_without_a_nonce, takes_any_copy_of_a_blob, adopts_foreign_entries,
    tells_what_may_be_lost,
)  # fmt: skip
