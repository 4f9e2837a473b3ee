"""What tests ask of mounted folders: has something come, is a drive there, can nothing be changed."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from trivet.io.mount_table import find_mount

DEADLINE_S = 60.0


def waited_for(condition: Callable[[], bool]) -> float:
    """Wait until a condition holds; return how many seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < DEADLINE_S, "it never came"
        time.sleep(0.01)
    return round(time.monotonic() - began, 2)


def is_ours(folder: Path) -> bool:
    """Tell whether a drive is mounted there."""
    entry = find_mount(folder)
    return entry is not None and entry.is_ours


def assert_read_only(folder: Path) -> None:
    """Assert that every change in a folder with a file `kept` is refused, because it is read-only."""
    attempts: list[Callable[[], object]] = [
        lambda: (folder / "new").write_text("x"),
        lambda: (folder / "kept").write_text("x"),
        lambda: os.truncate(folder / "kept", 0),
        (folder / "kept").unlink,
        lambda: (folder / "kept").rename(folder / "renamed"),
        lambda: (folder / "kept").chmod(0o600),
        lambda: os.utime(folder / "kept"),
        lambda: os.setxattr(folder / "kept", "user.colour", b"red"),
        (folder / "made").mkdir,
        lambda: os.symlink("kept", folder / "link"),
        lambda: os.link(folder / "kept", folder / "twice"),
    ]
    found = []
    for attempt in attempts:
        try:
            attempt()
            found.append("done")
        except OSError as error:
            found.append(errno.errorcode[error.errno or 0])
    assert set(found) == {"EROFS"}, found
