"""Asks ImageMagick's `identify` about images that nobody else here can read.

Rule: it counts as bad also when the program exits with 0 but complains.
Rule: the file is named by a link of a plain name: ImageMagick reads meanings into brackets, colons and %.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from trivet.io import runner

_LIMITS = (
    *("-limit", "memory", "512MiB", "-limit", "map", "1GiB", "-limit", "disk", "2GiB"),
    *("-limit", "thread", "1", "-limit", "width", "64KP", "-limit", "height", "64KP"),
)
_KEEP_BYTES = 1 << 16
_PLACE = re.compile(r"\s*`[^']*'|\s*@ \S+")


def is_installed() -> bool:
    """Say whether ImageMagick is on this machine."""
    return shutil.which("identify") is not None


async def identify(path: Path, extension: str, deadline_s: float) -> str | None:
    """Return what `identify -verbose` finds wrong with the file at `path`, None when nothing.

    `extension` says what to read it as. Raises NotFound when ImageMagick is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="trivet-identify-") as folder:
        link = _link(path, Path(folder, f"file.{extension}"))
        done = await runner.run(
            ["identify", *_LIMITS, "-verbose", link],
            env={**os.environ, "MAGICK_TEMPORARY_PATH": folder, "LC_ALL": "C"},
            deadline_s=deadline_s,
            keep_bytes=_KEEP_BYTES,
        )
    if done.timed_out:
        return f"ImageMagick did not finish within {deadline_s:g} s"
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.exit_code == 0 and not said:
        return None
    first = _PLACE.sub("", said.splitlines()[0]).removeprefix("identify-im6.q16: ") if said else ""
    return f"ImageMagick: {first.removeprefix('identify: ') or f'exit code {done.exit_code}'}"


def _link(path: Path, link: Path) -> Path:
    link.symlink_to(path.absolute())
    return link
