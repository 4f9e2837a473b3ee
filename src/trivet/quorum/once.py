"""Which calls of a client were applied: one record a client, so that a call asked for again is done once.

Rule: the record changes in the entry that applies the call; whoever has the one has the other, after any
takeover.
Rule: a client counts its calls, and tells with each below which number all are answered: those are forgotten.
"""

import msgspec


class Call(msgspec.Struct, frozen=True):
    """Call `sequence` of `client` (its id); all its calls below `answered` were answered."""

    client: bytes
    sequence: int
    answered: int

    @property
    def key(self) -> bytes:
        """The key of the client's record."""
        return b"s/" + self.client


class _Applied(msgspec.Struct, array_like=True, frozen=True):
    answered: int = 0
    sequences: list[int] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Applied).decode


def was_applied(call: Call, record: bytes | None) -> bool:
    """Tell whether the client's `record` (None: it has none) says that `call` was applied."""
    known = _decode(record) if record else _Applied()
    return call.sequence < known.answered or call.sequence in known.sequences


def with_applied(call: Call, record: bytes | None) -> bytes:
    """Return the client's record behind the entry that applies `call`."""
    known = _decode(record) if record else _Applied()
    answered = max(call.answered, known.answered)
    left = {one for one in (*known.sequences, call.sequence) if one >= answered}
    return _encode(_Applied(answered, sorted(left)))
