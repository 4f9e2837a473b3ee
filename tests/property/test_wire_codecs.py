"""Whatever goes through a codec of the wire comes back the same, and whatever was altered is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import CorruptReplica, ProtocolError
from trivet.wire import blobs, entries, frames, records

KEY = bytes(range(32))
small = st.binary(max_size=300)
slots = st.integers(min_value=1, max_value=2**53)
ops = st.builds(entries.RecordOp, key=small, old_slot=slots, value=st.none() | small)
bodies = st.builds(
    entries.EntryBody,
    durable=slots,
    ops=st.lists(ops, max_size=5),
    freed=st.lists(slots, max_size=3),
    new_blobs=st.lists(st.tuples(slots, slots, small), max_size=3),
    sums=small,
)
epochs = st.builds(entries.Epoch, number=slots, nonce=st.integers(min_value=0, max_value=2**64 - 1))


def sealed(slot: int, epoch: entries.Epoch, body: entries.EntryBody) -> entries.Entry:
    return entries.seal_entry(KEY, slot, epoch, entries.GENESIS_HASH, body)


@given(slots, epochs, bodies)
def test_an_entry_comes_back(slot: int, epoch: entries.Epoch, body: entries.EntryBody) -> None:
    entry = sealed(slot, epoch, body)
    again = entries.open_entry(KEY, entry.raw)
    assert again == entry
    assert again.body == body


@given(slots, epochs, bodies, st.data())
def test_an_altered_entry_is_refused(
    slot: int, epoch: entries.Epoch, body: entries.EntryBody, data: st.DataObject
) -> None:
    raw = bytearray(sealed(slot, epoch, body).raw)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptReplica):
        entries.open_entry(KEY, bytes(raw))


@given(st.lists(bodies, max_size=4), st.integers(0, 200))
def test_a_cut_log_splits_into_whole_entries(some: list[entries.EntryBody], cut: int) -> None:
    raws = [sealed(slot, entries.Epoch(1, 1), body).raw for slot, body in enumerate(some, start=1)]
    data = b"".join(raws)
    whole = entries.split_entries(data[: len(data) - min(cut, len(data))])
    assert whole == raws[: len(whole)]
    assert entries.split_entries(data + bytes(100)) == raws


@given(st.lists(st.tuples(st.integers(1, 255), st.integers(0, 2**32 - 1), small, small), max_size=5))
def test_frames_come_back_in_order(messages: list[tuple[int, int, bytes, bytes]]) -> None:
    sealer, opener = frames.FrameSealer(KEY), frames.FrameOpener(KEY)
    for kind, request, header, body in messages:
        data = sealer.seal(kind, request, header, body) + body
        assert frames.frame_length(data[:4]) == len(data) - 4
        frame = opener.open(data[4:])
        assert (frame.kind, frame.request, frame.header, bytes(frame.body)) == (kind, request, header, body)


@given(small, small, st.data())
def test_an_altered_frame_is_refused(header: bytes, body: bytes, data: st.DataObject) -> None:
    raw = bytearray((frames.FrameSealer(KEY).seal(7, 9, header, body) + body)[4:])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        frames.FrameOpener(KEY).open(bytes(raw))


@given(small, small)
def test_a_replayed_frame_is_refused(header: bytes, body: bytes) -> None:
    data = (frames.FrameSealer(KEY).seal(7, 9, header, body) + body)[4:]
    opener = frames.FrameOpener(KEY)
    opener.open(data)
    with pytest.raises(ProtocolError):
        opener.open(data)


@given(small, slots, small, st.data())
def test_a_row_is_tied_to_key_slot_and_value(
    key: bytes, slot: int, value: bytes, data: st.DataObject
) -> None:
    mac = records.record_mac(KEY, key, slot, value)
    assert records.row_is_valid(KEY, records.Row(key, slot, value, mac))
    assert not records.row_is_valid(KEY, records.Row(key, slot + 1, value, mac))
    assert not records.row_is_valid(KEY, records.Row(key, slot, value + b"x", mac))
    assert not records.row_is_valid(KEY, records.Row(key + b"x", slot, value, mac))
    if value:
        assert not records.row_is_valid(KEY, records.Row(key + value[:1], slot, value[1:], mac))


@given(st.integers(1, 2**53), st.binary(min_size=1, max_size=70_000), st.data())
def test_blob_pieces_are_judged_by_the_root(name: int, content: bytes, data: st.DataObject) -> None:
    hashes = blobs.sub_hashes(content)
    ref = blobs.BlobRef(name, len(content), blobs.root_of(len(content), hashes))
    offset = data.draw(st.integers(0, len(content) - 1))
    start, end = blobs.piece_range(ref.size, offset, data.draw(st.integers(1, len(content) - offset)))
    piece = bytearray(content[start:end])
    assert blobs.is_intact(ref, hashes, start, piece)
    piece[data.draw(st.integers(0, len(piece) - 1))] ^= 1
    assert not blobs.is_intact(ref, hashes, start, piece)
    assert not blobs.is_intact(ref, hashes[:-1] + bytes([hashes[-1] ^ 1]), start, content[start:end])


@given(st.integers(0, 2**53), st.integers(0, 2**32 - 1), st.binary(min_size=1, max_size=255))
def test_keys_can_be_taken_apart(ino: int, part: int, name: bytes) -> None:
    assert records.ino_of(records.inode_key(ino)) == ino
    assert (records.ino_of(records.page_key(ino, part)), records.part_of(records.page_key(ino, part))) == (
        ino,
        part,
    )
    assert records.part_of(records.extents_key(ino, part)) == part
    assert records.name_of(records.entry_key(ino, name)) == name
    assert records.name_of(records.xattr_key(ino, name)) == name
    assert records.ino_of(records.orphan_key(ino)) == ino
