"""Identities for events that come without one: made up from what the event says.

Rule: the same event (name and both times, in its run) always gets the same number, so that importing a
file twice adds nothing; two events that say exactly the same are one.
"""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from trivet.insight.runs.event_table import Ints

#: The source of an event whose sequence is made up.
CONTENT_SOURCE = "*content*"


def content_sequences(names: pa.Array, emit: Ints, receive: Ints) -> Ints:
    """Sequences of 63 bits from the `names` and times of events."""
    encoded = pc.dictionary_encode(names) if not pa.types.is_dictionary(names.type) else names
    hashes = np.array([_hash(name) for name in encoded.dictionary.to_pylist()], np.uint64)
    state = hashes[encoded.indices.to_numpy(zero_copy_only=False)]
    for column in (emit, receive):
        state = _mixed(state ^ column.view(np.uint64))
    sequences: Ints = (state >> np.uint64(1)).view(np.int64)
    return sequences


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def _mixed(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea, Flood 2014): every bit in moves every bit out."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
