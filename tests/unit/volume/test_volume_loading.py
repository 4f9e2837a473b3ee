"""Loading: what was stored comes back whole, what does not fit is named, orphans are purged."""

import stat

import pytest

from memory_ports import load
from trivet.errors import CorruptReplica
from trivet.volume import tombstones
from trivet.volume.attributes import Inode
from trivet.volume.blob_names import BlobNames, epoch_of
from trivet.volume.interface import ROOT_INO
from trivet.volume.loading import Loading
from trivet.volume.namespace import Namespace
from trivet.wire.records import entry_key, inode_key, orphan_key, page_key, xattr_key


def stored(space: Namespace, rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return `rows` with what the namespace noted since."""
    for key, value in space.take_changes().records.items():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value
    return rows


def small_volume() -> tuple[Namespace, dict[bytes, bytes]]:
    """Return a volume with a directory, a file with two names, and its records."""
    space = Namespace(BlobNames(3))
    space.make_root(0, 0, 1)
    folder = space.make(ROOT_INO, b"d", stat.S_IFDIR | 0o755, 0, 0, 2)
    file = space.make(folder.ino, b"f", stat.S_IFREG | 0o644, 0, 0, 3)
    space.link(file.ino, ROOT_INO, b"g", 4)
    return space, stored(space, {})


def test_a_volume_comes_back_as_it_was() -> None:
    space, rows = small_volume()
    again, problems = load(BlobNames(4), rows)
    assert problems == []
    assert again.directories == space.directories
    assert again.parents == space.parents
    assert not again.has_changes
    file = again.lookup(ROOT_INO, b"g")
    assert (file.nlink, epoch_of(file.ino), epoch_of(again.names.take())) == (2, 3, 4)


def test_numbers_are_held_once() -> None:
    _space, rows = small_volume()
    again, _problems = load(BlobNames(4), rows)
    ino = again.lookup(ROOT_INO, b"g").ino
    assert any(number is again.directories[ROOT_INO][b"g"] for number in again.inodes if number == ino)


def test_open_files_without_a_name_are_purged() -> None:
    space, rows = small_volume()
    file = space.lookup(ROOT_INO, b"g")
    ino = file.ino
    space.open_files.open(ino, writing=True, sync=False)
    space.xattrs.put(ino, b"user.a", b"1")
    space.changes.records[xattr_key(ino, b"user.a")] = b"1"
    space.layout.add_page(file, 3)
    space.layout.add_page(file, 30)
    space.changes.records[page_key(ino, 3)] = b"x"
    space.changes.records[page_key(ino, 30)] = b"x"
    folder = space.lookup(ROOT_INO, b"d").ino
    space.unlink(ROOT_INO, b"g", 5)
    space.unlink(folder, b"f", 5)
    stored(space, rows)
    assert orphan_key(ino) in rows
    again, problems = load(BlobNames(4), rows)
    assert problems == []
    assert ino not in again.inodes
    left = stored(again, rows)
    told = {key for key in left if key.startswith(tombstones.PREFIX)}
    assert set(left) - told == {inode_key(ROOT_INO), inode_key(folder), entry_key(ROOT_INO, b"d")}
    assert [left[key][-8:] for key in told] == [ino.to_bytes(8, "big")]


def test_a_removed_folder_that_was_still_held_is_purged_too() -> None:
    space, rows = small_volume()
    ino = space.make(ROOT_INO, b"e", stat.S_IFDIR | 0o755, 0, 0, 5).ino
    stored(space, rows)
    space.open_files.hold(ino)
    space.rmdir(ROOT_INO, b"e", 6)
    stored(space, rows)
    assert orphan_key(ino) in rows
    again, problems = load(BlobNames(4), rows)
    assert problems == []
    assert ino not in again.inodes
    assert ino not in again.directories
    assert not {inode_key(ino), orphan_key(ino)} & set(stored(again, rows))


def test_what_does_not_fit_is_named() -> None:
    space, rows = small_volume()
    folder = space.lookup(ROOT_INO, b"d").ino
    file = space.lookup(ROOT_INO, b"g").ino
    rows[entry_key(ROOT_INO, b"ghost")] = (12345).to_bytes(8, "big")
    rows[entry_key(file, b"in a file")] = file.to_bytes(8, "big")
    rows[page_key(file, 2)] = b"x"
    rows[inode_key(777)] = Inode(777, stat.S_IFREG, 1, 0, 0, 0, 0, 0, 0, 0).pack(0)
    del rows[entry_key(folder, b"f")]
    again, problems = load(BlobNames(4), rows)
    assert len(problems) == 5
    assert any("ghost" in told for told in problems)
    assert any("no directory" in told for told in problems)
    assert any("page records" in told for told in problems)
    assert any("777 has no name" in told for told in problems)
    assert any("tells 2 links and has 1" in told for told in problems)
    assert b"ghost" not in again.directories[ROOT_INO]
    assert again.layout.pages(again.inode(file)) == [2]


def test_unknown_and_damaged_records_are_refused() -> None:
    with pytest.raises(CorruptReplica):
        Loading(BlobNames(1)).add(b"z/" + bytes(8), b"")
    with pytest.raises(CorruptReplica):
        Loading(BlobNames(1)).add(inode_key(5), b"short")
    Loading(BlobNames(1)).add(b"c/config", b"{}")
