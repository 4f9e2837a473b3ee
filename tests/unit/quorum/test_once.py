"""A client's record tells which of its calls were applied, and grows no longer than what is unanswered."""

from trivet.quorum.once import Call, was_applied, with_applied

ME = b"client"


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
    assert len(record) < 10
    assert was_applied(Call(ME, 7, 0), record)
    late = Call(ME, 1001, 990)
    assert not was_applied(Call(ME, 1000, 990), with_applied(late, record))
    assert was_applied(Call(ME, 995, 990), with_applied(late, record))
