"""Deliberate errors in what a keeper makes of records, blobs and clocks; see `sim_mutants`."""

from collections.abc import Callable
from typing import Any

import pytest

from sim_blobs import Blobs, ref_in
from sim_keeper import SimKeeper
from trivet.quorum import record_loading
from trivet.wire import bank_messages as b

Patch = Callable[[pytest.MonkeyPatch], None]


def trusts_any_bank_on_absence(patch: pytest.MonkeyPatch) -> None:
    """Rows are loaded from the first bank whether they add up or not."""

    def settle(bucket: int, banks: Any, history: Any) -> Any:
        state = record_loading._carried_on(bucket, next(iter(banks.values())), history)
        return record_loading.BucketState(state, proven=True, doubtful=frozenset())

    patch.setattr("sim_records.settle_bucket", settle)


def deletes_blobs_before_durable(patch: pytest.MonkeyPatch) -> None:
    """What an entry frees goes as soon as the entry is written."""
    real = SimKeeper.absorb

    def absorb(self: SimKeeper, entry: Any) -> None:
        real(self, entry)
        self.blobs._delete(entry.body.freed)

    patch.setattr(SimKeeper, "absorb", absorb)


def repairs_from_any_copy(patch: pytest.MonkeyPatch) -> None:
    """A blob is copied without looking at what is copied."""
    patch.setattr("sim_blobs.Blobs._state", staticmethod(lambda ref, held: "good" if held else "unknown"))


def deletes_by_list(patch: pytest.MonkeyPatch) -> None:
    """Blobs that are listed and that no record names are garbage."""
    real = Blobs.compare

    def compare(self: Blobs, refs: Any, then: Any) -> None:
        keeper = self.keeper
        named = {ref[0] for _, value in keeper.records.values() if (ref := ref_in(value)) is not None}

        def sweep(bank: int, reply: Any) -> None:
            garbage = [name for name, _, _ in reply.blobs if name not in named]
            keeper.links.ask_blobs(bank, b.DeleteBlobs(garbage), b"", lambda *_: None)

        if keeper.is_loaded:
            for bank in keeper.banks:
                ask = b.ListBlobs(0, 1000)
                keeper.links.ask_blobs(bank, ask, b"", lambda reply, _data, bank=bank: sweep(bank, reply))
        real(self, refs, then)

    patch.setattr(Blobs, "compare", compare)


def believes_rows_without_their_macs(patch: pytest.MonkeyPatch) -> None:
    """What stands in a row is taken for what a keeper wrote there."""
    patch.setattr("sim_server.row_is_valid", lambda key, row: True)
    patch.setattr("sim_records.row_is_valid", lambda key, row: True)


def skips_the_lease(patch: pytest.MonkeyPatch) -> None:
    """A new keeper does not wait the old one's lease out."""
    patch.setattr("sim_keeper.wait_out_s", lambda: 0.0)


KEEPER_MUTANTS: tuple[Patch, ...] = (
    trusts_any_bank_on_absence, deletes_blobs_before_durable, repairs_from_any_copy,
    deletes_by_list, believes_rows_without_their_macs, skips_the_lease,
)  # fmt: skip
