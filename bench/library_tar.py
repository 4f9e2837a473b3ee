"""The tree that is unpacked, committed and removed: Python's own standard library, about 2,500 entries."""

import sysconfig
import tarfile
from pathlib import Path

_LEFT_OUT = ("site-packages", "__pycache__", "dist-packages")


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if any(name in Path(entry.name).parts for name in _LEFT_OUT) else entry


def library_tar(work: Path) -> Path:
    """Write a tar of the standard library of this Python into the folder `work`; return its path."""
    path = work / "library.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(sysconfig.get_path("stdlib"), "library", filter=_kept)
    return path
