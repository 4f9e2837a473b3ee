"""Files with secrets in them: readable by their owner alone, and never half written."""

import os
from pathlib import Path


def keep_secret(place: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = place.with_name(f"{place.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.rename(place)
