"""Namespace: the tree of names and inodes in memory, with the file-system rules and their errno.

Rule: an operation checks everything first, then changes memory and notes its records; it can't half happen.
Rule: what was noted goes into one change set, in order, by `take_changes`: a crash leaves a prefix.
Rule: permissions, sticky bits and `.`/`..` are the kernel's; inheriting a set-group-id directory is ours.
"""

from errno import EEXIST, EINVAL, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, EPERM
from stat import S_IFDIR, S_IFLNK, S_IFMT, S_ISGID

from trivet.errors import FileSystemError
from trivet.volume.attributes import DIRECTORY_SIZE_BYTES, Inode, InodeTable
from trivet.volume.blob_names import BlobNames
from trivet.volume.changes import ChangeSet
from trivet.volume.dirty_pages import DirtyPages
from trivet.volume.entry_names import check_name, entry_value
from trivet.volume.holders import Holders
from trivet.volume.interface import NAME_MAX_BYTES, ROOT_INO
from trivet.volume.kept_blobs import KeptBlobs
from trivet.volume.layout import Layout
from trivet.volume.listing import Listings
from trivet.volume.open_files import OpenFiles
from trivet.volume.pins import Pins
from trivet.volume.quotas import Amount, Quotas
from trivet.volume.tombstones import Tombstones
from trivet.volume.xattrs import Xattrs
from trivet.wire.records import entry_key, inode_key, orphan_key, xattr_key

LINK_MAX = 65_000
TARGET_MAX_BYTES = 4095
ORPHAN_VALUE = b"\x01"
_DEVICE_MAX = (1 << 32) - 1


class Namespace:
    """Everything the keeper holds of a volume; `names` hands out inode numbers."""

    def __init__(self, names: BlobNames) -> None:
        self.names = names
        self.inodes = InodeTable()
        self.directories: dict[int, dict[bytes, int]] = {}
        self.parents: dict[int, int] = {}
        self.holders = Holders()
        self.quotas = Quotas(self.inodes, self.directories, self.parents, self.holders)
        self.layout = Layout()
        self.dirty = DirtyPages()
        self.xattrs = Xattrs()
        self.open_files = OpenFiles()
        self.listings = Listings()
        self.changes = ChangeSet()
        self.pins = Pins()
        self.kept = KeptBlobs()
        self.tombstones = Tombstones()
        self.asked: dict[bytes, bytes] = {}
        self.doomed: dict[int, None] = {}
        self._touched: dict[int, None] = {}

    def make_root(self, uid: int, gid: int, now_ns: int) -> None:
        """Give an empty volume its root directory."""
        assert not len(self.inodes)
        self.make_top(ROOT_INO, 0o755, uid, gid, now_ns)

    def make_top(self, ino: int, permissions: int, uid: int, gid: int, now_ns: int) -> None:
        """Make a directory that nothing names: it is its own parent."""
        mode = S_IFDIR | permissions
        self.inodes.add(Inode(ino, mode, 2, uid, gid, 0, DIRECTORY_SIZE_BYTES, now_ns, now_ns, now_ns))
        self.directories[ino] = {}
        self.parents[ino] = ino
        self.touch(ino)

    def is_touched(self, ino: int) -> bool:
        """Tell whether an inode's record is to be rewritten by the next `take_changes`."""
        return ino in self._touched

    @property
    def has_changes(self) -> bool:
        """Whether anything was noted since the last `take_changes`."""
        return bool(self._touched) or bool(self.changes)

    def touch(self, ino: int) -> None:
        """Note that an inode's record is to be rewritten."""
        self._touched[ino] = None

    def take_changes(self) -> ChangeSet:
        """Return all that was noted, inodes as they are now, and begin anew.

        An inode with dirty data tells the size that is stored: a crash must not show bytes nobody wrote.
        """
        changes = self.changes
        records = changes.records
        get = self.inodes.get
        dirty = self.dirty.get
        for ino in self._touched:
            inode = get(ino)
            assert inode is not None
            file = dirty(ino)
            records[inode_key(ino)] = inode.pack(inode.size if file is None else file.stored_size)
        self.changes = ChangeSet()
        self._touched = {}
        self.inodes.cool()
        return changes

    def inode(self, ino: int) -> Inode:
        """Return an inode for reading or changing until the next `take_changes`, or raise ENOENT."""
        inode = self.inodes.get(ino)
        if inode is None:
            raise FileSystemError(ENOENT)
        return inode

    def directory(self, ino: int) -> dict[bytes, int]:
        """Return the names of a directory, or raise ENOTDIR; ENOENT if it is gone, or only held any more."""
        names = self.directories.get(ino)
        if names is None:
            raise FileSystemError(ENOENT if self.inode(ino).is_directory else ENOTDIR)
        return names

    def lookup(self, parent: int, name: bytes) -> Inode:
        """Return what `name` names in the directory `parent`."""
        ino = self.directory(parent).get(name)
        if ino is None:
            raise FileSystemError(ENAMETOOLONG if len(name) > NAME_MAX_BYTES else ENOENT)
        return self.inode(ino)

    def make(
        self,
        parent: int,
        name: bytes,
        mode: int,
        uid: int,
        gid: int,
        now_ns: int,
        *,
        rdev: int = 0,
        target: bytes = b"",
    ) -> Inode:
        """Make a file, directory, link or device (as `mode` says) called `name` in `parent`."""
        names = self.directory(parent)
        if name in names:
            raise FileSystemError(EEXIST)
        check_name(name)
        if not 0 <= rdev <= _DEVICE_MAX:
            raise FileSystemError(EINVAL)
        if self.quotas:
            self.quotas.check(parent, Amount(0, 1))
        holder = self.inode(parent)
        is_directory = S_IFMT(mode) == S_IFDIR
        if holder.mode & S_ISGID:
            gid = holder.gid
            if is_directory:
                mode |= S_ISGID
        ino = self.names.take()
        size = DIRECTORY_SIZE_BYTES if is_directory else len(target)
        nlink = 2 if is_directory else 1
        inode = Inode(ino, mode, nlink, uid, gid, rdev, size, now_ns, now_ns, now_ns, target=target)
        self.inodes.add(inode)
        if is_directory:
            self.directories[ino] = {}
            self.parents[ino] = parent
            holder.nlink += 1
        self.touch(ino)
        self.put_name(holder, names, name, ino, now_ns)
        return inode

    def symlink(self, parent: int, name: bytes, target: bytes, uid: int, gid: int, now_ns: int) -> Inode:
        """Make a symbolic link to `target`."""
        if len(target) > TARGET_MAX_BYTES:
            raise FileSystemError(ENAMETOOLONG)
        if not target:
            raise FileSystemError(ENOENT)
        return self.make(parent, name, S_IFLNK | 0o777, uid, gid, now_ns, target=target)

    def link(self, ino: int, parent: int, name: bytes, now_ns: int) -> Inode:
        """Give an inode that is no directory one more name."""
        names = self.directory(parent)
        inode = self.inode(ino)
        if inode.is_directory:
            raise FileSystemError(EPERM)
        if name in names:
            raise FileSystemError(EEXIST)
        check_name(name)
        if inode.nlink == 0:
            raise FileSystemError(ENOENT)
        if inode.nlink >= LINK_MAX:
            raise FileSystemError(EMLINK)
        inode.nlink += 1
        inode.ctime_ns = now_ns
        self.touch(ino)
        self.put_name(self.inode(parent), names, name, ino, now_ns)
        return inode

    def unlink(self, parent: int, name: bytes, now_ns: int) -> None:
        """Take a name away from a file; without names and handles it goes too."""
        inode = self.lookup(parent, name)
        if inode.is_directory:
            raise FileSystemError(EISDIR)
        self.take_name(self.inode(parent), self.directories[parent], name, now_ns)
        self.drop_link(inode, now_ns)

    def rmdir(self, parent: int, name: bytes, now_ns: int) -> None:
        """Take away an empty directory."""
        inode = self.lookup(parent, name)
        if not inode.is_directory:
            raise FileSystemError(ENOTDIR)
        if self.directories[inode.ino]:
            raise FileSystemError(ENOTEMPTY)
        holder = self.inode(parent)
        self.take_name(holder, self.directories[parent], name, now_ns)
        self.drop_directory(holder, inode, now_ns)

    def put_name(self, holder: Inode, names: dict[bytes, int], name: bytes, ino: int, now_ns: int) -> None:
        """Let `name` of the directory `holder` name `ino`, over whatever it named."""
        before = names.get(name)
        if before is not None:
            self.holders.remove(before, holder.ino)
        self.holders.add(ino, holder.ino)
        names[name] = ino
        self.changes.records[entry_key(holder.ino, name)] = entry_value(ino)
        self.touch_directory(holder, now_ns)

    def take_name(self, holder: Inode, names: dict[bytes, int], name: bytes, now_ns: int) -> None:
        """Let `name` of the directory `holder` name nothing."""
        self.holders.remove(names.pop(name), holder.ino)
        self.changes.records[entry_key(holder.ino, name)] = None
        self.touch_directory(holder, now_ns)

    def touch_directory(self, holder: Inode, now_ns: int) -> None:
        """Note that the names of `holder` changed."""
        holder.mtime_ns = holder.ctime_ns = now_ns
        self._touched[holder.ino] = None
        self.listings.changed(holder.ino)

    def drop_link(self, inode: Inode, now_ns: int) -> None:
        """Count one name less; the last one takes the inode with it unless it is open."""
        inode.nlink -= 1
        inode.ctime_ns = now_ns
        if not inode.nlink and not self.open_files.is_open(inode.ino):
            self.purge(inode)
            return
        self.touch(inode.ino)
        if not inode.nlink:
            self.changes.records[orphan_key(inode.ino)] = ORPHAN_VALUE

    def drop_directory(self, holder: Inode, inode: Inode, now_ns: int) -> None:
        """Take an empty directory out of its parent `holder`, whose name for it is gone."""
        holder.nlink -= 1
        inode.nlink = 1
        del self.directories[inode.ino]
        del self.parents[inode.ino]
        if self.quotas:
            self.quotas.set(inode.ino, None)
        self.listings.changed(inode.ino)
        self.drop_link(inode, now_ns)

    def purge(self, inode: Inode, *, was_open: bool = False) -> None:
        """Delete all that is stored of an inode that has neither name nor handle (any more: `was_open`).

        One with a large body is marked like an open one, for `purge_some` to take away piece by piece.
        """
        ino = inode.ino
        records = self.changes.records
        self.dirty.drop(ino)
        if self.layout.is_large(inode):
            self.doomed[ino] = None
            self.touch(ino)
            records[orphan_key(ino)] = ORPHAN_VALUE
            return
        for name in self.xattrs.names(ino):
            records[xattr_key(ino, name)] = None
        self.xattrs.forget(ino)
        self.layout.forget(inode, self.changes)
        if was_open:
            records[orphan_key(ino)] = None
        records[inode_key(ino)] = None
        key, value = self.tombstones.bury(ino)
        records[key] = value
        self._touched.pop(ino, None)
        self.inodes.drop(ino)

    def purge_some(self) -> None:
        """Go on deleting what `purge` left as `doomed`, as much as fits into one change set."""
        ino = next(iter(self.doomed))
        inode = self.inode(ino)
        self.layout.forget_some(inode, self.changes)
        self.touch(ino)
        if not self.layout.is_large(inode):
            del self.doomed[ino]
            self.purge(inode, was_open=True)

    def release(self, handle: int) -> None:
        """Let go of a handle; the last one of an inode without names takes it along."""
        self._let_go(*self.open_files.release(handle))

    def let_go(self, ino: int) -> None:
        """Let go of an inode that was held without a handle, with the same end."""
        self._let_go(ino, self.open_files.let_go(ino))

    def _let_go(self, ino: int, last: bool) -> None:
        inode = self.inodes.get(ino) if last else None  # None also if it was gone before it was held
        if inode is not None and inode.nlink == 0:
            self.purge(inode, was_open=True)
