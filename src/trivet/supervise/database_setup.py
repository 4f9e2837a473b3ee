"""Makes ready a volume whose journal is in a database: made there, or joined from an empty state folder.

Rule: the volume's key lies in the database too: who may read the tables may read the volume.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from trivet.errors import ConfigError
from trivet.io.journal_database import StoredVolume, find_or_make
from trivet.io.object_store import ObjectStore, plan_of
from trivet.io.postgres import database_plan
from trivet.io.volume_folder import VolumeConfig, VolumeFolder
from trivet.supervise.volume_setup import (
    DEFAULT_BASES,
    VOLUME_NAME_BYTES,
    Durability,
    check_bases,
    refuse_other_things,
)
from trivet.wire.auth import KEY_BYTES


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """The URLs of `--journal` and its `--blobs`, None where nothing was given."""

    journal: str | None
    blobs: str | None


def keeps_journal_in_database(folder: VolumeFolder, journal: str | None) -> bool:
    """Tell whether the volume in `folder`, or to be made there, has its journal in a database."""
    if not folder.config_path.exists():
        return journal is not None
    config = folder.read_config()
    if journal is not None and not config.journal:
        raise ConfigError(
            f"{folder.path} holds a volume with banks on disks: leave --journal away, or make another volume "
            "with --state and copy the files there (`trivet export`, `trivet import`)"
        )
    return bool(config.journal)


def refuse_second_keeper(config: VolumeConfig, *, is_asked_for: bool) -> None:
    """Raise ConfigError for a standby of a volume that others take over by `trivet up` on their machine."""
    if config.journal and is_asked_for:
        raise ConfigError(
            "--standby is for banks on disks: leave it away; `trivet up` elsewhere takes this volume over"
        )


def open_database_volume(
    folder: VolumeFolder,
    bases: Sequence[int] | None,
    servers: int | None,
    durability: Durability | None,
    asked: DatabaseOptions,
) -> VolumeConfig:
    """Return the volume in `folder`, found or made in the database if there is none; ConfigError."""
    if servers not in (None, 1) or (bases is not None and len(bases) != 1):
        raise ConfigError("a volume with its journal in a database has one server: --ports 7000, --servers 1")
    if folder.config_path.exists():
        return _known(folder, bases, asked)
    assert asked.journal is not None
    base = bases[0] if bases else DEFAULT_BASES[0]
    check_bases([base], 1, banks=1)
    refuse_other_things(folder)
    plan = database_plan(asked.journal)
    if asked.blobs is not None:
        _look_at(asked.blobs, base)
    new = StoredVolume(os.urandom(VOLUME_NAME_BYTES).hex(), os.urandom(KEY_BYTES), asked.blobs or "")
    found = find_or_make(plan, asked.blobs, new)
    _refuse_other_store(found.blobs, asked.blobs)
    config = VolumeConfig(
        found.volume,
        [base],
        1,
        durability or "default",
        journal=asked.journal,
        blobs={str(base): found.blobs},
    )
    folder.create(config, found.key)
    return config


def _known(folder: VolumeFolder, bases: Sequence[int] | None, asked: DatabaseOptions) -> VolumeConfig:
    config = folder.read_config()
    folder.read_key()
    if bases is not None and list(bases) != config.bases:
        raise ConfigError(f"{folder.path} was made with --ports {config.bases[0]}; leave the option away")
    _refuse_other_store(next(iter(config.blobs.values())), asked.blobs)
    if asked.journal in (None, config.journal):
        return config
    database_plan(asked.journal or "")
    config = msgspec.structs.replace(config, journal=asked.journal)
    folder.store_config(config)  # `claim` makes sure that it is this volume's
    return config


def _refuse_other_store(used: str, asked: str | None) -> None:
    if asked is not None and not plan_of(used).is_same_place(plan_of(asked)):
        raise ConfigError(f"the blobs of this volume are in {used}: name that with --blobs, or leave it away")


def _look_at(url: str, base: int) -> None:
    store = ObjectStore(plan_of(url), base)
    store.names_now(store.below("is-anything-here"))
