"""Numbers that a kernel knows contents by: they go with the content, and end with it."""

from errno import ESTALE

import pytest

from trivet.errors import FileSystemError
from trivet.volume.file_numbers import OPENED_LATE_S, FileNumbers

SECOND = 10**9


def test_a_number_goes_with_its_content() -> None:
    numbers = FileNumbers()
    for staged in (11, 12, 13):
        numbers.exchange(staged, 5, 0)
    assert [numbers.of(ino) for ino in (11, 12, 13, 5, 6)] == [5, 11, 12, 13, 6]
    assert [numbers.inode(number) for number in (5, 11, 12, 13, 6)] == [11, 12, 13, 5, 6]


def test_exchanged_back_all_is_as_before() -> None:
    numbers = FileNumbers()
    numbers.exchange(11, 5, 0)
    numbers.exchange(5, 11, 0)
    assert (numbers.of(5), numbers.of(11), numbers.inode(5), numbers.inode(11)) == (5, 11, 5, 11)


def test_the_number_of_an_ended_content_is_stale_and_nothing_is_kept_of_it() -> None:
    numbers = FileNumbers()
    for staged in range(100, 200):
        numbers.exchange(staged, 5, 0)
        numbers.forget(staged)
        assert len(numbers) == 1
    with pytest.raises(FileSystemError) as caught:
        numbers.inode(5)
    assert caught.value.errno == ESTALE
    assert numbers.inode(199) == 5


def test_an_old_number_is_opened_for_a_moment_then_only_where_a_name_leads() -> None:
    numbers = FileNumbers()
    numbers.exchange(11, 5, 7 * SECOND)
    late_ns = 7 * SECOND + int(OPENED_LATE_S * SECOND) + 1
    assert numbers.inode_to_open(5, 7 * SECOND + 1) == 11
    for number in (5, 11):
        with pytest.raises(FileSystemError):
            numbers.inode_to_open(number, late_ns)
    assert numbers.tell(5) == 11
    assert numbers.inode_to_open(11, late_ns) == 5
