"""Ways to spoil a file, as disks and people do."""

import os
from pathlib import Path


def flip(path: Path, offset: int) -> None:
    """Turn every bit of one byte."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def drop(path: Path) -> None:
    """Delete the file."""
    path.unlink()


def cut(path: Path) -> None:
    """Leave 1,000 bytes."""
    os.truncate(path, 1000)


def empty(path: Path) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    """Write random bytes over all of it."""
    path.write_bytes(os.urandom(min(path.stat().st_size, 1 << 20)))


def speckle(path: Path) -> None:
    """Flip bytes all over the file but in its first 4 KiB."""
    for offset in range(4096, path.stat().st_size, 700):
        flip(path, offset)
