"""Namespace: errno of everything, inheritance, links, and what is noted for the journal."""

import errno
import stat

import pytest

from trivet.errors import FileSystemError
from trivet.volume import tombstones
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import ROOT_INO
from trivet.volume.namespace import LINK_MAX, Namespace
from trivet.volume.rename import exchange, rename
from trivet.wire.records import entry_key, inode_key, orphan_key

DIRECTORY = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644


@pytest.fixture
def space() -> Namespace:
    """An empty volume."""
    space = Namespace(BlobNames(1))
    space.make_root(0, 0, 1)
    space.take_changes()
    return space


def make(space: Namespace, parent: int, name: bytes, mode: int = FILE) -> int:
    """Make something and return its number."""
    return space.make(parent, name, mode, 10, 20, 5).ino


def errno_of(call: object, *arguments: object, **options: object) -> str:
    """Return the name of the errno a call is refused with."""
    with pytest.raises(FileSystemError) as caught:
        call(*arguments, **options)  # type: ignore[operator]
    return errno.errorcode[caught.value.errno]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"", "ENOENT"),
        (b"x" * 256, "ENAMETOOLONG"),
        (b"a/b", "EINVAL"),
        (b"..", "EINVAL"),
        (b"a\0", "EINVAL"),
    ],
)
def test_names_that_cannot_stand_are_refused(space: Namespace, name: bytes, expected: str) -> None:
    assert errno_of(make, space, ROOT_INO, name) == expected
    kept = make(space, ROOT_INO, b"kept")
    assert errno_of(space.link, kept, ROOT_INO, name, 6) == expected
    assert errno_of(rename, space, ROOT_INO, b"kept", ROOT_INO, name, 6, replace=True) == expected


def test_lookups_say_what_is_missing(space: Namespace) -> None:
    file = make(space, ROOT_INO, b"file")
    assert errno_of(space.lookup, ROOT_INO, b"other") == "ENOENT"
    assert errno_of(space.lookup, ROOT_INO, b"o" * 300) == "ENAMETOOLONG"
    assert errno_of(space.lookup, file, b"other") == "ENOTDIR"
    assert errno_of(space.lookup, 999, b"other") == "ENOENT"
    assert errno_of(make, space, file, b"x") == "ENOTDIR"
    assert errno_of(make, space, ROOT_INO, b"file") == "EEXIST"


def test_a_set_group_id_directory_hands_its_group_on(space: Namespace) -> None:
    shared = make(space, ROOT_INO, b"shared", DIRECTORY | stat.S_ISGID)
    below = space.inode(make(space, shared, b"below", DIRECTORY))
    file = space.inode(make(space, shared, b"file"))
    assert (below.gid, bool(below.mode & stat.S_ISGID)) == (20, True)
    assert (file.gid, bool(file.mode & stat.S_ISGID)) == (20, False)
    space.inode(shared).gid = 77
    assert space.inode(make(space, shared, b"later")).gid == 77


def test_links_are_counted(space: Namespace) -> None:
    ino = make(space, ROOT_INO, b"a")
    folder = make(space, ROOT_INO, b"d", DIRECTORY)
    assert space.inode(ROOT_INO).nlink == 3
    space.link(ino, folder, b"b", 6)
    assert space.inode(ino).nlink == 2
    assert errno_of(space.link, folder, ROOT_INO, b"e", 6) == "EPERM"
    assert errno_of(space.link, ino, folder, b"b", 6) == "EEXIST"
    space.inode(ino).nlink = LINK_MAX
    assert errno_of(space.link, ino, folder, b"c", 6) == "EMLINK"


def test_removals_refuse_the_wrong_kind(space: Namespace) -> None:
    make(space, ROOT_INO, b"file")
    folder = make(space, ROOT_INO, b"d", DIRECTORY)
    make(space, folder, b"x")
    assert errno_of(space.unlink, ROOT_INO, b"d", 6) == "EISDIR"
    assert errno_of(space.rmdir, ROOT_INO, b"file", 6) == "ENOTDIR"
    assert errno_of(space.rmdir, ROOT_INO, b"d", 6) == "ENOTEMPTY"
    space.unlink(folder, b"x", 6)
    space.rmdir(ROOT_INO, b"d", 6)
    assert errno_of(make, space, folder, b"y") == "ENOENT"
    assert space.inode(ROOT_INO).nlink == 2


def test_a_removed_folder_lives_as_long_as_somebody_holds_it(space: Namespace) -> None:
    folder = make(space, ROOT_INO, b"d", DIRECTORY)
    space.open_files.hold(folder)
    space.open_files.hold(folder)
    space.rmdir(ROOT_INO, b"d", 6)
    assert (space.inode(folder).nlink, space.inode(folder).ctime_ns) == (0, 6)
    assert errno_of(make, space, folder, b"y") == "ENOENT"
    assert space.take_changes().records[orphan_key(folder)]
    space.let_go(folder)
    assert folder in space.inodes
    space.let_go(folder)
    assert folder not in space.inodes
    records = space.take_changes().records
    assert records[inode_key(folder)] is records[orphan_key(folder)] is None


def test_symlinks_have_a_target_that_fits(space: Namespace) -> None:
    assert errno_of(space.symlink, ROOT_INO, b"s", b"", 0, 0, 5) == "ENOENT"
    assert errno_of(space.symlink, ROOT_INO, b"s", b"t" * 4096, 0, 0, 5) == "ENAMETOOLONG"
    inode = space.symlink(ROOT_INO, b"s", b"t" * 4095, 0, 0, 5)
    assert (inode.size, stat.S_ISLNK(inode.mode)) == (4095, True)


def test_renames_refuse_what_rename_refuses(space: Namespace) -> None:
    outer = make(space, ROOT_INO, b"outer", DIRECTORY)
    inner = make(space, outer, b"inner", DIRECTORY)
    make(space, ROOT_INO, b"file")
    for target, name, expected in (
        (inner, b"x", "EINVAL"),
        (ROOT_INO, b"file", "ENOTDIR"),
        (outer, b"x", "EINVAL"),
    ):
        assert errno_of(rename, space, ROOT_INO, b"outer", target, name, 6, replace=True) == expected
    assert errno_of(rename, space, ROOT_INO, b"file", ROOT_INO, b"outer", 6, replace=True) == "EISDIR"
    assert errno_of(rename, space, outer, b"inner", ROOT_INO, b"outer", 6, replace=True) == "ENOTEMPTY"
    make(space, outer, b"x")
    assert errno_of(rename, space, outer, b"x", ROOT_INO, b"outer", 6, replace=True) == "ENOTEMPTY"
    space.unlink(outer, b"x", 6)
    space.take_changes()
    assert errno_of(rename, space, ROOT_INO, b"file", ROOT_INO, b"outer", 6, replace=False) == "EEXIST"
    assert errno_of(exchange, space, ROOT_INO, b"outer", outer, b"inner", 6) == "EINVAL"
    assert errno_of(exchange, space, outer, b"inner", ROOT_INO, b"outer", 6) == "EINVAL"
    assert errno_of(exchange, space, ROOT_INO, b"file", ROOT_INO, b"nobody", 6) == "ENOENT"
    assert not space.has_changes


def test_moving_a_directory_moves_its_link(space: Namespace) -> None:
    first = make(space, ROOT_INO, b"1", DIRECTORY)
    second = make(space, ROOT_INO, b"2", DIRECTORY)
    moving = make(space, first, b"m", DIRECTORY)
    make(space, second, b"m", DIRECTORY)
    rename(space, first, b"m", second, b"m", 6, replace=True)
    assert [space.inode(ino).nlink for ino in (first, second, moving)] == [2, 3, 2]
    assert space.parents[moving] == second
    make(space, first, b"file")
    exchange(space, first, b"file", second, b"m", 7)
    assert [space.inode(ino).nlink for ino in (first, second)] == [3, 2]
    assert space.parents[moving] == first


def test_two_names_of_one_file_renamed_over_each_other_both_stay(space: Namespace) -> None:
    ino = make(space, ROOT_INO, b"a")
    space.link(ino, ROOT_INO, b"b", 6)
    space.take_changes()
    rename(space, ROOT_INO, b"a", ROOT_INO, b"b", 7, replace=True)
    assert not space.has_changes
    assert space.inode(ino).nlink == 2


def test_an_open_file_without_a_name_lives_until_it_is_let_go(space: Namespace) -> None:
    ino = make(space, ROOT_INO, b"a")
    handle = space.open_files.open(ino, writing=True, sync=False)
    second = space.open_files.open(ino, writing=False, sync=False)
    space.unlink(ROOT_INO, b"a", 6)
    records = space.take_changes().records
    assert records[orphan_key(ino)] is not None
    assert records[inode_key(ino)] is not None
    assert records[entry_key(ROOT_INO, b"a")] is None
    assert errno_of(space.link, ino, ROOT_INO, b"again", 7) == "ENOENT"
    space.release(handle)
    assert space.inode(ino).nlink == 0
    space.release(second)
    assert errno_of(space.inode, ino) == "ENOENT"
    records = space.take_changes().records
    (tombstone,) = [key for key in records if key.startswith(tombstones.PREFIX)]
    assert records[tombstone] is not None
    assert records == {orphan_key(ino): None, inode_key(ino): None, tombstone: records[tombstone]}
    assert errno_of(space.open_files.get, handle) == "EBADF"


def test_one_operation_is_one_change_set(space: Namespace) -> None:
    ino = make(space, ROOT_INO, b"a")
    records = space.take_changes().records
    assert set(records) == {inode_key(ino), inode_key(ROOT_INO), entry_key(ROOT_INO, b"a")}
    assert records[entry_key(ROOT_INO, b"a")] == ino.to_bytes(8, "big")
    assert not space.has_changes


def test_devices_keep_their_number(space: Namespace) -> None:
    inode = space.make(ROOT_INO, b"null", stat.S_IFCHR | 0o666, 0, 0, 5, rdev=0x103)
    assert inode.rdev == 0x103
    assert errno_of(space.make, ROOT_INO, b"big", stat.S_IFCHR, 0, 0, 5, rdev=1 << 40) == "EINVAL"
