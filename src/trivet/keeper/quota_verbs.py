"""What `trivet quota` asks of the keeper: setting, listing and removing the quotas of folders.

Rule: a quota is set as the attribute it is, so that it is committed like every other change.
"""

from trivet.errors import InputError, NotFound
from trivet.keeper.findings import PathFinder
from trivet.keeper.local_volume import LocalVolume
from trivet.volume.entry_names import find_path
from trivet.volume.quotas import QUOTA, Limits, pack_limits
from trivet.wire.control_messages import QuotaTable, QuotaUse


async def set_quota(volume: LocalVolume, path: str, limits: Limits) -> None:
    """Let what is below the folder `path` be at most `limits`."""
    if limits == Limits(None, None) or any(limit is not None and limit < 0 for limit in limits):
        raise InputError("a quota limits bytes, files or both; `trivet quota remove` takes it away")
    ino = find_path(volume.space.directories, path)
    if ino not in volume.space.directories:
        raise InputError(f"{path} is no folder; quotas are of folders")
    await volume.setxattr(ino, QUOTA, pack_limits(limits), create=False, replace=False)
    await volume.fsyncdir(ino)


async def remove_quota(volume: LocalVolume, path: str) -> None:
    """Take the quota of the folder `path` away."""
    ino = find_path(volume.space.directories, path)
    if ino not in volume.space.quotas.limits:
        raise NotFound(f"{path} has no quota; `trivet quota list` shows those there are")
    await volume.removexattr(ino, QUOTA)
    await volume.fsyncdir(ino)


def quota_table(volume: LocalVolume) -> QuotaTable:
    """Return every quota, by path, with what is used of it."""
    paths, quotas = PathFinder(volume.space), volume.space.quotas
    rows = [QuotaUse(paths.path_of(ino), *quotas.used[ino], *limits) for ino, limits in quotas.limits.items()]
    return QuotaTable(sorted(rows, key=lambda row: row.path))
