"""The kernel's tables: distinct strings with their figures, and counts of (address, URL) pairs.

Rule: strings are kept once, in one arena, and compared byte for byte; a hash alone decides nothing.
Rule: a table never fills up: whoever inserts asks `room_in` first and the owner grows it.
Rule: ids count from 0 in the order of first sight.
"""

from typing import Any, NamedTuple

import numpy as np

from trivet.insight.logs.kernel_bytes import U64, compiled, equal_bytes, hash_bytes, prefetch

# columns of a string's figures
OFFSET, LENGTH, HITS, BYTES, BAD, TIMED, TIMED_SUM_US, TIMED_MAX_US = range(8)
FIGURES = 8
# what `state` of a table holds
COUNT, ARENA_USED = 0, 1

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(0xFFFFFFFF00000000)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_S32 = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


class Strings(NamedTuple):
    """Distinct strings: `slots` (hash tag and id + 1), `hashes` and `figures` by id, bytes in `arena`."""

    slots: Any
    hashes: Any
    figures: Any
    arena: Any
    state: Any


class Pairs(NamedTuple):
    """Counts by pair: `cells` holds (key + 1, count) side by side; the key is `ip_id << 32 | url_id`."""

    cells: Any
    state: Any


def new_strings(capacity: int, arena_bytes: int) -> Strings:
    """Return an empty table with room for `capacity` strings of `arena_bytes` together."""
    slot_count = 1 << max(4, (2 * capacity - 1).bit_length())
    return Strings(
        np.zeros(slot_count, np.uint64),
        np.zeros(capacity, np.uint64),
        np.zeros((capacity, FIGURES), np.int64),
        np.zeros(arena_bytes, np.uint8),
        np.zeros(2, np.int64),
    )


def new_pairs(capacity: int) -> Pairs:
    """Return an empty table with room for `capacity` pairs."""
    slot_count = 1 << max(4, (capacity * 3 // 2 - 1).bit_length())
    return Pairs(np.zeros((slot_count, 2), np.uint64), np.zeros(1, np.int64))


def pair_capacity(pairs: Pairs) -> int:
    """Return how many pairs fit before the table must grow."""
    return int(len(pairs.cells) * 2 // 3)


@compiled
def find_or_add(table: Any, data: Any, start: Any, end: Any, value: Any) -> Any:
    """Return the id of the string `data[start:end]` whose hash is `value`, adding it when it is new."""
    slots, hashes, figures, arena, state = table
    mask = U64(len(slots) - 1)
    tag = value & _HIGH
    length = end - start
    place = value & mask
    while True:
        slot = slots[place]
        if slot == _ZERO:
            break
        if slot & _HIGH == tag:
            found = np.int64(slot & _LOW) - 1
            offset = figures[found, OFFSET]
            if figures[found, LENGTH] == length and equal_bytes(arena, offset, data, start, length):
                return found
        place = (place + _ONE) & mask
    new = state[COUNT]
    offset = state[ARENA_USED]
    slots[place] = tag | U64(new + 1)
    hashes[new] = value
    figures[new, OFFSET] = offset
    figures[new, LENGTH] = length
    for k in range(length):
        arena[offset + k] = data[start + k]
    state[COUNT] = new + 1
    state[ARENA_USED] = offset + length
    return new


@compiled
def room_in(tables: Any) -> tuple[int, int]:
    """Return how many strings, and of how many bytes together, every one of `tables` has room for."""
    count, size = 1 << 62, 1 << 62
    for table in tables:
        count = min(count, len(table[1]) - table[4][COUNT])
        size = min(size, len(table[3]) - table[4][ARENA_USED])
    return count, size


@compiled
def find_or_add_all(
    table: Any, data: Any, starts: Any, ends: Any, count: Any, seed: Any, hashes: Any, ids: Any
) -> None:
    """Put the ids of `count` strings `data[starts:ends]` into `ids`, and count each once.

    Tables are larger than any cache: each step asks for what the next one needs, for all strings at once.
    """
    slots, figures, arena = table[0], table[2], table[3]
    flat = figures.reshape(-1)
    mask = U64(len(slots) - 1)
    for k in range(count):
        hashes[k] = hash_bytes(data, starts[k], ends[k], seed)
        prefetch(slots, np.int64(hashes[k] & mask))
    for k in range(count):
        slot = slots[hashes[k] & mask]
        if slot != _ZERO:
            prefetch(flat, (np.int64(slot & _LOW) - 1) * FIGURES)
    for k in range(count):
        slot = slots[hashes[k] & mask]
        if slot != _ZERO:
            prefetch(arena, figures[np.int64(slot & _LOW) - 1, OFFSET])
    for k in range(count):
        ids[k] = find_or_add(table, data, starts[k], ends[k], hashes[k])
        figures[ids[k], HITS] += 1


@compiled
def add_pairs(pairs: Any, ips: Any, urls: Any, count: Any) -> None:
    """Count `count` pairs of ids, each once."""
    cells = pairs[0]
    flat = cells.reshape(-1)
    mask = U64(len(cells) - 1)
    for k in range(count):
        prefetch(flat, np.int64(pair_place(ips[k], urls[k], mask)) * 2)
    for k in range(count):
        add_pair(pairs, ips[k], urls[k], 1)


@compiled
def pair_place(ip: Any, url: Any, mask: Any) -> Any:
    """Return the cell where the search for a pair begins."""
    value = (((U64(ip) << _S32) | U64(url)) + _ONE) * _MIX
    return (value ^ (value >> _S32)) & mask


@compiled
def add_pair(pairs: Any, ip: Any, url: Any, count: Any) -> None:
    """Count the pair of ids `ip`, `url` `count` times more."""
    cells, state = pairs
    key = ((U64(ip) << _S32) | U64(url)) + _ONE
    mask = U64(len(cells) - 1)
    place = pair_place(ip, url, mask)
    while cells[place, 0] != _ZERO:
        if cells[place, 0] == key:
            cells[place, 1] += U64(count)
            return
        place = (place + _ONE) & mask
    cells[place, 0] = key
    cells[place, 1] = U64(count)
    state[COUNT] += 1


@compiled
def refill_slots(slots: Any, hashes: Any, count: Any) -> None:
    """Fill empty `slots` with the first `count` ids by their `hashes`."""
    mask = U64(len(slots) - 1)
    for k in range(count):
        place = hashes[k] & mask
        while slots[place] != _ZERO:
            place = (place + _ONE) & mask
        slots[place] = (hashes[k] & _HIGH) | U64(k + 1)


@compiled
def refill_pairs(target: Any, cells: Any) -> None:
    """Add every pair of `cells` to the empty table `target`."""
    for k in range(len(cells)):
        if cells[k, 0] != _ZERO:
            key = cells[k, 0] - _ONE
            add_pair(target, np.int64(key >> _S32), np.int64(key & _LOW), np.int64(cells[k, 1]))


@compiled
def merge_strings(target: Any, source: Any, seed: Any, ids: Any) -> None:
    """Add the strings and figures of `source` to `target`, which has room; `ids` maps old ids to new."""
    figures = target[2]
    for k in range(source[4][COUNT]):
        offset, length = source[2][k, OFFSET], source[2][k, LENGTH]
        value = hash_bytes(source[3], offset, offset + length, seed)
        new = find_or_add(target, source[3], offset, offset + length, value)
        ids[k] = new
        for column in range(HITS, TIMED_MAX_US):
            figures[new, column] += source[2][k, column]
        figures[new, TIMED_MAX_US] = max(figures[new, TIMED_MAX_US], source[2][k, TIMED_MAX_US])


@compiled
def merge_pairs(target: Any, cells: Any, ip_ids: Any, url_ids: Any) -> None:
    """Add the pairs of `cells`, whose ids `ip_ids` and `url_ids` map, to `target`, which has room."""
    for k in range(len(cells)):
        if cells[k, 0] != _ZERO:
            key = cells[k, 0] - _ONE
            add_pair(target, ip_ids[key >> _S32], url_ids[key & _LOW], np.int64(cells[k, 1]))


@compiled
def copy_strings(arena: Any, offsets: Any, lengths: Any, target: Any, target_offsets: Any) -> None:
    """Copy the strings of `arena` at `offsets` to `target_offsets` of the arena `target`."""
    for k in range(len(offsets)):
        for byte in range(lengths[k]):
            target[target_offsets[k] + byte] = arena[offsets[k] + byte]


def grown_strings(table: Strings, capacity: int, arena_bytes: int) -> Strings:
    """Return `table` with room for `capacity` strings of `arena_bytes` together."""
    bigger = new_strings(max(capacity, len(table.hashes)), max(arena_bytes, len(table.arena)))
    count, used = int(table.state[COUNT]), int(table.state[ARENA_USED])
    bigger.hashes[:count] = table.hashes[:count]
    bigger.figures[:count] = table.figures[:count]
    bigger.arena[:used] = table.arena[:used]
    bigger.state[:] = table.state
    refill_slots(bigger.slots, bigger.hashes, count)
    return bigger


def grown_pairs(pairs: Pairs, capacity: int) -> Pairs:
    """Return `pairs` with room for `capacity` pairs."""
    bigger = new_pairs(capacity)
    refill_pairs(bigger, pairs.cells)
    return bigger
