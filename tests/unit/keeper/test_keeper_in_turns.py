"""What goes through everything in memory lets others of the loop work: counted in turns, not in seconds."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from trivet.keeper.record_keys import KEYS_A_TURN, all_keys_of, keys_in
from trivet.keeper.whole_check import INODES_A_TURN, inodes_below
from trivet.volume.blob_names import BlobNames
from trivet.volume.interface import ROOT_INO
from trivet.volume.namespace import Namespace
from trivet.wire.records import BUCKETS, bucket_of, entry_key, inode_key

NAMES = 10 * KEYS_A_TURN


@pytest.fixture
def space() -> Namespace:
    """A volume whose only folder has many names, all of one inode."""
    space = Namespace(BlobNames(1))
    space.make_root(0, 0, 0)
    space.directories[ROOT_INO].update({b"%d" % number: 2 + number for number in range(NAMES)})
    return space


async def turns_of(work: Callable[[], Awaitable[object]]) -> int:
    """Return how often others of the loop could work while `work` was done."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    await work()
    beside.cancel()
    await asyncio.gather(beside, return_exceptions=True)
    return turns


async def test_keys_of_some_parts_are_gathered_in_turns(space: Namespace) -> None:
    wanted = frozenset(range(0, BUCKETS, 2))
    found: set[bytes] = set()

    async def gather() -> None:
        found.update(await keys_in(space, wanted))

    assert await turns_of(gather) >= NAMES // KEYS_A_TURN - 1
    keys = {inode_key(ROOT_INO), *(entry_key(ROOT_INO, name) for name in space.directories[ROOT_INO])}
    assert {key for key in keys if bucket_of(key) in wanted} <= found
    assert all(bucket_of(key) in wanted for key in found)


async def test_what_lies_below_a_path_is_found_in_turns(space: Namespace) -> None:
    found: list[int] = []

    async def look() -> None:
        found.extend(await inodes_below(space, ROOT_INO))

    assert await turns_of(look) >= NAMES // INODES_A_TURN - 1
    assert sorted(found) == [ROOT_INO, *range(2, NAMES + 2)]


async def test_every_name_of_a_large_folder_is_compared_though_some_go_meanwhile(space: Namespace) -> None:
    names = space.directories[ROOT_INO]
    before = {entry_key(ROOT_INO, name) for name in names}
    seen: set[bytes] = set()
    async for keys in all_keys_of(space, [ROOT_INO, 1 << 40]):
        assert len(keys) <= KEYS_A_TURN
        seen.update(keys)
        names.pop(b"%d" % (len(seen) + 100), None)
    assert seen == before | {inode_key(ROOT_INO)}
