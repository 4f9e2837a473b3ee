"""Marks: what is durable needs the blobs synced, and only a sync that began when they were there counts."""

from trivet.quorum.marks import Marks


def test_a_blob_stored_while_its_bank_syncs_waits_for_the_next_sync() -> None:
    marks = Marks([7000, 8000, 9000], 0)
    marks.new_blobs(1, missing=[8000, 9000])
    for bank in (7000, 8000):
        marks.holds(bank, 1, 1)
    marks.blobs_synced(7000, 1)
    marks.advance()
    assert (marks.acked, marks.durable) == (0, 0)
    marks.blobs_stored(8000, 1)
    marks.advance()
    assert (marks.acked, marks.durable) == (1, 0)
    marks.blobs_synced(8000, 1, stored_meanwhile={1})
    marks.advance()
    assert marks.durable == 0
    marks.blobs_synced(8000, 1)
    marks.advance()
    assert marks.durable == 1
