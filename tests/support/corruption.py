"""Every way in which a disk may spoil one stored thing: the cases of the corruption matrix, by a seed.

Rule: a case is (kind, damage, spread, position) and a pure function of seed and number; each combination of
kind, damage and spread comes once before any comes twice, then flips go through all their positions.
Rule: what is damaged is the stored form: a row as key, slot, value and MAC; a blob as header and bytes.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trivet.bank.blob_header import BLOCK_BYTES, header_bytes, pack_header, stored_bytes
from trivet.wire.blobs import sub_hashes

FLIPS = 256
KINDS = ("i", "d", "e", "b", "x", "o", "c", "blob")
DAMAGES = ("flip", "shorten", "lengthen", "zero", "swap", "roll back", "delete")
#: One bank; two banks, each in its own way; two banks with the same wrong bytes.
SPREADS = ("one", "two", "same")
StoredRow = tuple[bytes, int, bytes, bytes]


@dataclass(frozen=True)
class Case:
    """One damage; `position` of FLIPS says where in the stored bytes a flip hits, `salt` decides the rest."""

    number: int
    kind: str
    damage: str
    spread: str
    position: int
    salt: int

    def rng(self, turn: int) -> random.Random:
        """Return the choices of the `turn`-th damaged bank: the same for all if the wrong bytes are."""
        return random.Random(self.salt if self.spread == "same" else self.salt + turn)


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield `count` cases of the matrix in the order that `seed` shuffles them into."""
    rng = random.Random(seed)
    number = 0
    while True:
        combinations = [(kind, damage, spread) for kind in KINDS for damage in DAMAGES for spread in SPREADS]
        first_position = rng.randrange(FLIPS)
        flips = [
            (kind, "flip", spread, (first_position + step) % FLIPS)
            for step in range(1, FLIPS)
            for kind in KINDS
            for spread in SPREADS
        ]
        rng.shuffle(combinations)
        rng.shuffle(flips)
        for kind, damage, spread, position in [(*one, first_position) for one in combinations] + flips:
            if number == count:
                return
            yield Case(number, kind, damage, spread, position, rng.getrandbits(48))
            number += 1


def flip_bit(data: bytes, position: int, rng: random.Random) -> bytes:
    """Return `data` with one bit turned, at `position` of FLIPS along it."""
    at = position * len(data) // FLIPS
    changed = bytearray(data)
    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def spoil_row(
    case: Case, rng: random.Random, row: StoredRow, partner: StoredRow, older: Sequence[StoredRow]
) -> list[tuple[bytes, StoredRow | None]]:
    """Return (key, what stands there now) of the rows that change; `older` rows once stood at this key."""
    key, slot, value, mac = row
    if case.damage == "flip":
        return _flipped(case, rng, row)
    if case.damage == "shorten":
        return [(key, (key, slot, value[:-1], mac) if value else (key, slot, value, mac[:-1]))]
    if case.damage == "lengthen":
        return [(key, (key, slot, value + rng.randbytes(1), mac))]
    if case.damage == "zero":
        return [(key, (key, slot, bytes(len(value)), bytes(16)))]
    if case.damage == "swap":
        return [(key, (key, *partner[1:])), (partner[0], (partner[0], slot, value, mac))]
    if case.damage == "roll back" and older:
        return [(key, rng.choice(older))]
    return [(key, None)]


def _flipped(case: Case, rng: random.Random, row: StoredRow) -> list[tuple[bytes, StoredRow | None]]:
    key, slot, value, mac = row
    stored = key + slot.to_bytes(8, "big") + value + mac
    wrong = flip_bit(stored, case.position, rng)
    ends = (len(key), len(key) + 8, len(key) + 8 + len(value))
    wrong_key, wrong_slot = wrong[: ends[0]], int.from_bytes(wrong[ends[0] : ends[1]], "big", signed=True)
    changed = (wrong_key, wrong_slot, wrong[ends[1] : ends[2]], wrong[ends[2] :])
    return [(key, changed)] if wrong_key == key else [(key, None), (wrong_key, changed)]


@dataclass(frozen=True)
class StoredBlob:
    """One copy: its name, where it stands, and the bytes of the segment from its header to its end."""

    name: int
    segment: int
    offset: int
    size: int
    stored: bytes

    @property
    def end(self) -> int:
        """Where its last byte stands among those stored; padding follows."""
        return header_bytes(self.size) + self.size


def spoil_blob(
    case: Case, rng: random.Random, blob: StoredBlob, partner: StoredBlob, volume_key: bytes
) -> list[tuple[StoredBlob, bytes]]:
    """Return (copy, its bytes now) of the copies that change; `partner` is of the same size."""
    stored, end = blob.stored, blob.end
    if case.damage == "flip":
        return [(blob, flip_bit(stored[:end], case.position, rng) + stored[end:])]
    if case.damage in ("shorten", "lengthen"):
        data = stored[header_bytes(blob.size) : end]
        data = data[:-1] if case.damage == "shorten" else data + rng.randbytes(1)
        # Its header fits it: what was written whole, only the wrong length of it.
        header = pack_header(volume_key, blob.segment, blob.offset, blob.name, len(data), sub_hashes(data))
        return [(blob, (header + data).ljust(len(stored), b"\0")[: len(stored)])]
    if case.damage == "zero":
        at = rng.randrange(-(-end // BLOCK_BYTES)) * BLOCK_BYTES
        return [(blob, stored[:at] + bytes(BLOCK_BYTES) + stored[at + BLOCK_BYTES :])]
    if case.damage == "swap":
        if rng.random() < 0.5:
            return [(blob, partner.stored), (partner, blob.stored)]
        cut = header_bytes(blob.size)
        return [
            (blob, stored[:cut] + partner.stored[cut:]),
            (partner, partner.stored[:cut] + stored[cut:]),
        ]
    return [(blob, bytes(stored_bytes(blob.size)))]
