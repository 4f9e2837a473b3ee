"""A client's record tells which of its calls were applied, and grows no longer than what is unanswered."""

from trivet.quorum.once import Call, answer_of, with_applied

ME = b"client"


def was_applied(call: Call, record: bytes | None) -> bool:
    """Tell whether the record knows the call."""
    return answer_of(call, record) is not None


def test_a_call_is_applied_once_in_whatever_order_they_come() -> None:
    record = None
    for sequence in (3, 1, 2):
        call = Call(ME, sequence, 1)
        assert not was_applied(call, record)
        record = with_applied(call, record)
        assert was_applied(call, record)
    assert not was_applied(Call(ME, 4, 1), record)


def test_what_was_answered_is_forgotten_and_never_applied_again() -> None:
    record = None
    for sequence in range(1000):
        record = with_applied(Call(ME, sequence, sequence), record)
    assert record is not None
    assert len(record) < 20
    assert was_applied(Call(ME, 7, 0), record)
    late = Call(ME, 1001, 990)
    assert not was_applied(Call(ME, 1000, 990), with_applied(late, record))
    assert was_applied(Call(ME, 995, 990), with_applied(late, record))


def test_each_call_is_told_its_own_answer_again() -> None:
    record = with_applied(Call(ME, 2, 2), with_applied(Call(ME, 1, 1), None, b"one"), b"two")
    assert answer_of(Call(ME, 2, 1), record) == b"two"
    assert answer_of(Call(ME, 1, 1), record) == b"", "nobody asks for it again"
    record = with_applied(Call(ME, 3, 2), record, b"three")
    assert [answer_of(Call(ME, number, 2), record) for number in (2, 3, 4)] == [b"two", b"three", None]
