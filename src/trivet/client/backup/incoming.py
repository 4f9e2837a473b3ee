"""Where trees that come in stand until they are whole, and how they are put into place.

Rule: nobody sees a tree before all of it is durable; what fails or is cut off before leaves nothing behind.
Rule: one tree comes in at a time; what a killed process left is removed by the next.
Rule: all conflicts are found before the first name is put into place.
"""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from errno import ENOENT
from stat import S_ISDIR

from trivet.client.backup.tree_writing import remove_tree
from trivet.client.remote_volume import RemoteVolume
from trivet.errors import Conflict, FileSystemError
from trivet.io.volume_folder import VolumeFolder
from trivet.volume.interface import PRIVATE_INO, ROOT_INO, Attributes, Caller
from trivet.wire.path_text import path_text

INCOMING, TREE = b"incoming", b"tree"
LISTED_AT_ONCE = 1000
_TOLD = 10
_OWNER = Caller(0, 0)


@asynccontextmanager
async def incoming(volume: RemoteVolume, folder: VolumeFolder) -> AsyncIterator[int]:
    """Give an empty folder (its number) out of people's sight; what is left in it goes when the block ends.

    Raises Conflict while another tree comes in.
    """
    lock = os.open(folder.path / "incoming.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("another import or restore is running; wait for its end") from error
        await remove_tree(volume, PRIVATE_INO, INCOMING)
        parent = (await volume.mkdir(PRIVATE_INO, INCOMING, 0o700, _OWNER)).ino
        try:
            yield (await volume.mkdir(parent, TREE, 0o700, _OWNER)).ino
        finally:
            await remove_tree(volume, PRIVATE_INO, INCOMING)
    finally:
        os.close(lock)


@dataclass(slots=True)
class Move:
    """`name` of the folder `source` goes to the folder `target`, over what is there if `over`."""

    source: int
    target: int
    name: bytes
    path: bytes
    over: bool


@dataclass(slots=True)
class Placing:
    """What is to be moved, and which paths stand in the way."""

    moves: list[Move] = field(default_factory=list)
    conflicts: list[bytes] = field(default_factory=list)


async def found_at(volume: RemoteVolume, parent: int, name: bytes) -> Attributes | None:
    """Return what a name names, None for nothing."""
    try:
        return await volume.lookup(parent, name)
    except FileSystemError as error:
        if error.errno != ENOENT:
            raise
        return None


async def plan_placing(volume: RemoteVolume, source: int, target: int) -> Placing:
    """Return how what stands in the folder `source` gets into `target`; folders that both have are joined."""
    plan = Placing()
    waiting = [(b"", source, target)]
    while waiting:
        path, here, there = waiting.pop()
        cookie = 0
        while listed := await volume.listing(here, cookie, LISTED_AT_ONCE):
            cookie = listed[-1].cookie
            for one in listed:
                inside = path + b"/" + one.name
                other = await found_at(volume, there, one.name)
                if other is not None and S_ISDIR(one.attributes.mode) and S_ISDIR(other.mode):
                    waiting.append((inside, one.attributes.ino, other.ino))
                    continue
                if other is not None:
                    plan.conflicts.append(inside)
                plan.moves.append(Move(here, there, one.name, inside, other is not None))
    return plan


async def place(volume: RemoteVolume, plan: Placing, *, overwrite: bool) -> int:
    """Carry `plan` out and return how many names were put into place.

    What is overwritten goes back to where the new came from. Raises Conflict before anything is moved; where
    a move fails, its error says how far it came.
    """
    if plan.conflicts and not overwrite:
        raise Conflict(
            f"nothing was written: {len(plan.conflicts):,} of the paths exist already ("
            + ", ".join(map(path_text, plan.conflicts[:_TOLD]))
            + (", ..." if len(plan.conflicts) > _TOLD else "")
            + "); --overwrite replaces them"
        )
    done = 0
    try:
        for move in plan.moves:
            await _move(volume, move)
            done += 1
        await volume.fsyncdir(ROOT_INO)
    except FileSystemError as error:
        left = [path_text(move.path) for move in plan.moves[done : done + _TOLD]]
        raise FileSystemError(
            error.errno, f"{done:,} of {len(plan.moves):,} names are in place, not {', '.join(left)}: {error}"
        ) from error
    return done


async def _move(volume: RemoteVolume, move: Move) -> None:
    places = move.source, move.name, move.target, move.name
    await volume.rename(*places, replace=False, exchange=move.over)
