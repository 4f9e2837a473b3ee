"""The high-water mark: the last slot this volume's keeper knew to be durable, kept beside the banks.

Rule: it is written within a second of a slot becoming durable; banks that end below it were rolled back.
"""

import logging
from pathlib import Path

import msgspec

from trivet.errors import ConfigError
from trivet.io.volume_folder import write_synced
from trivet.wire.entries import Epoch

log = logging.getLogger(__name__)


class HighWater(msgspec.Struct, frozen=True):
    """What the file holds."""

    epoch: Epoch
    slot: int


def read_high_water(path: Path) -> HighWater | None:
    """Return the mark, None if no keeper ever served this volume; a damaged file raises ConfigError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=HighWater)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"the high-water mark {path} can't be read ({error}); restore it, or remove it only if you are "
            "sure that no bank was rolled back"
        ) from error


def write_high_water(path: Path, mark: HighWater) -> None:
    """Replace the mark in one synced step."""
    write_synced(path, msgspec.json.encode(mark))
