"""A disk whose power can be cut: an ext4 in a file that ends without writing out what it holds.

Source: EXT4_IOC_SHUTDOWN of linux/fs/ext4 with the flag NOLOGFLUSH: data that were not synced, and renames
that were not, are gone when it is mounted again.
"""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

_EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
_NO_LOG_FLUSH = 2
_UNMOUNT_DEADLINE_S = 30.0


class LoopDisk:
    """An empty ext4 in the file `image`, mounted at `place`; raises CalledProcessError where we may not."""

    def __init__(self, image: Path, place: Path, size_mib: int) -> None:
        self.image = image
        self.place = place
        place.mkdir(exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        self.mount()
        (place / "lost+found").rmdir()

    def mount(self) -> None:
        """Mount it (again); the kernel replays its journal."""
        subprocess.run(["mount", "-o", "loop", self.image, self.place], check=True, capture_output=True)

    def cut_power(self) -> None:
        """Lose everything that was not synced; from now on every access fails with EIO."""
        number = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(number, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(number)

    def unmount(self) -> None:
        """Unmount it, as soon as the processes that were killed have let go of it."""
        until = time.monotonic() + _UNMOUNT_DEADLINE_S
        while (done := subprocess.run(["umount", self.place], capture_output=True)).returncode:
            assert time.monotonic() < until, done.stderr
            time.sleep(0.02)
