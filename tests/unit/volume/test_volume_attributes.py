"""Inodes: packed and unpacked they say the same, hot or cold."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import CorruptReplica
from trivet.volume.attributes import Inode, InodeTable, bounded_time_ns, unpack_inode

U32 = st.integers(0, (1 << 32) - 1)
TIME = st.integers(-(1 << 63) + 1, (1 << 63) - 1)


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
    limit = (1 << 63) - 1
    assert [bounded_time_ns(t) for t in (1 << 70, -(1 << 70), 5)] == [limit, -limit, 5]


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
