"""Inodes: packed and unpacked they say the same, hot or cold."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import CorruptReplica
from trivet.volume.attributes import (
    ACCESS_OLD_NS,
    FIRST_TIME_NS,
    LAST_TIME_NS,
    Inode,
    InodeTable,
    bounded_time_ns,
    unpack_inode,
)

U32 = st.integers(0, (1 << 32) - 1)
TIME = st.integers(FIRST_TIME_NS, LAST_TIME_NS)


def fields(inode: Inode) -> list[object]:
    """Return everything an inode holds."""
    return [getattr(inode, name) for name in Inode.__slots__]


@given(
    st.integers(0, 65535),
    U32,
    U32,
    U32,
    U32,
    st.integers(0, 1 << 44),
    TIME,
    TIME,
    TIME,
    st.binary(max_size=99),
)
def test_packing_loses_nothing(
    mode: int, nlink: int, uid: int, gid: int, rdev: int, size: int, a: int, m: int, c: int, target: bytes
) -> None:
    inode = Inode(9, mode, nlink, uid, gid, rdev, size, a, m, c, 0x8001, 77, target)
    again = unpack_inode(9, inode.pack(size))
    assert fields(again) == fields(inode)
    assert again.attributes() == inode.attributes()


def test_a_short_value_is_refused() -> None:
    with pytest.raises(CorruptReplica):
        unpack_inode(9, bytes(55))
    with pytest.raises(CorruptReplica):
        InodeTable().add_packed(9, bytes(55))


def test_times_outside_of_what_fits_are_bounded() -> None:
    asked = (1 << 70, -(1 << 70), FIRST_TIME_NS + 7, LAST_TIME_NS + 7, LAST_TIME_NS - 7, 5)
    limited = [LAST_TIME_NS, FIRST_TIME_NS, FIRST_TIME_NS, LAST_TIME_NS, LAST_TIME_NS - 7, 5]
    assert [bounded_time_ns(time_ns) for time_ns in asked] == limited


def test_times_from_1901_to_2446_are_kept() -> None:
    times = (FIRST_TIME_NS, -1, 0, (1 << 63) + 1, LAST_TIME_NS)
    for time_ns in times:
        inode = Inode(9, stat.S_IFREG, 1, 0, 0, 0, 0, time_ns, time_ns, time_ns)
        assert unpack_inode(9, inode.pack(0)).attributes() == inode.attributes()


def test_an_access_is_told_once_a_change_and_once_a_day() -> None:
    inode = Inode(9, stat.S_IFREG, 1, 0, 0, 0, 0, 100, 100, 100)
    assert inode.is_access_due(101)
    inode.atime_ns = 101
    assert not inode.is_access_due(102)
    assert inode.is_access_due(101 + ACCESS_OLD_NS)
    inode.ctime_ns = 101
    assert inode.is_access_due(102)


def test_changes_survive_cooling() -> None:
    table = InodeTable(hot_limit=10)
    for ino in range(100):
        table.add(Inode(ino, stat.S_IFREG, 1, 0, 0, 0, 0, 0, 0, 0))
        inode = table.get(ino)
        assert inode is not None
        inode.size = ino * 10
        table.cool()
    found = [table.get(ino) for ino in range(100)]
    assert [inode.size for inode in found if inode] == [ino * 10 for ino in range(100)]
    table.drop(5)
    assert table.get(5) is None
    assert len(table) == 99
