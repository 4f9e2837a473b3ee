"""What clients asked for and were answered: one record a client, so that a call asked for again is done once.

Rule: the record changes in the entry that applies the call; whoever has the one has the other, after any
takeover.
Rule: a client counts its calls, and tells with each below which number all are answered: those are forgotten.
"""

import msgspec

from trivet.wire.records import ASKED


class Call(msgspec.Struct, frozen=True):
    """Call `sequence` of `client` (its id); all its calls below `answered` were answered."""

    client: bytes
    sequence: int
    answered: int

    @property
    def key(self) -> bytes:
        """The key of the client's record."""
        return ASKED + self.client


class _Applied(msgspec.Struct, array_like=True, frozen=True):
    answered: int = 0
    answers: dict[int, bytes] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Applied).decode


def answer_of(call: Call, record: bytes | None) -> bytes | None:
    """Return what `call` was answered by the client's `record` (or None), None if it was not applied.

    b"" for one that the client knows the answer of: it does not ask for that again.
    """
    known = _decode(record) if record else _Applied()
    return b"" if call.sequence < known.answered else known.answers.get(call.sequence)


def with_applied(call: Call, record: bytes | None, answer: bytes = b"") -> bytes:
    """Return the client's record behind the entry that applies `call`, which is told `answer`."""
    known = _decode(record) if record else _Applied()
    answered = max(call.answered, known.answered)
    answers = {**known.answers, call.sequence: answer}
    return _encode(_Applied(answered, {one: told for one, told in answers.items() if one >= answered}))
