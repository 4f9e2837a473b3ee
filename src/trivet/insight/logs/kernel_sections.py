"""Sections of all URLs of a table: worked out once a URL, not once a line.

Rule: a section here is what `wire.access_log.section_of` says; a property test holds it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.insight.logs.kernel_bytes import compiled, find_byte, find_either, hash_bytes
from trivet.insight.logs.kernel_tables import (
    ARENA_USED,
    BAD,
    BYTES,
    COUNT,
    HITS,
    LENGTH,
    OFFSET,
    Strings,
    find_or_add,
    grown_strings,
    new_strings,
)

_SLASH, _QUERY, _COLON = 47, 63, 58
_NONE = np.frombuffer(b"-/", np.uint8)


@compiled
def _path_start(arena: Any, start: Any, end: Any) -> Any:
    """Return where the path of the target `arena[start:end]` begins; -1 without one, `end` where empty."""
    if start < end and arena[start] == _SLASH:
        return start
    place = start
    while place < end:
        byte = arena[place]
        letter = 97 <= byte <= 122 or 65 <= byte <= 90
        other = 48 <= byte <= 57 or byte == 43 or byte == 45 or byte == 46
        if not (letter or (other and place > start)):
            break
        place += 1
    if place == start or place + 3 > end:
        return -1
    if arena[place] != _COLON or arena[place + 1] != _SLASH or arena[place + 2] != _SLASH:
        return -1
    place = find_either(arena, place + 3, end, _SLASH, _QUERY)
    return place if place < end and arena[place] == _SLASH else end


@compiled
def _collect(urls: Any, sections: Any, first: Any, seed: Any, ids: Any) -> Any:
    """Add the URLs from id `first` on to their sections, put these into `ids`; return where it was full."""
    figures, arena = urls[2], urls[3]
    for k in range(first, urls[4][COUNT]):
        hits = figures[k, HITS] - figures[k, BAD]
        if hits == 0:
            continue
        start = figures[k, OFFSET]
        end = start + figures[k, LENGTH]
        state = sections[4]
        if state[COUNT] >= len(sections[1]) or state[ARENA_USED] + end - start + 2 > len(sections[3]):
            return k
        path = _path_start(arena, start, end)
        if path < 0 or path == end:
            place = 0 if path < 0 else 1
            section = find_or_add(
                sections, _NONE, place, place + 1, hash_bytes(_NONE, place, place + 1, seed)
            )
        else:
            stop = min(find_byte(arena, path + 1, end, _SLASH), find_byte(arena, path, end, _QUERY))
            section = find_or_add(sections, arena, path, stop, hash_bytes(arena, path, stop, seed))
        ids[k] = section
        sections[2][section, HITS] += hits
        sections[2][section, BYTES] += figures[k, BYTES]
    return urls[4][COUNT]


def sections_of(urls: Strings, seed: np.uint64) -> tuple[Strings, NDArray[np.int64]]:
    """Return (sections with hits and bytes of requests that were not bad, section id by URL id or -1)."""
    sections = new_strings(256, 1 << 13)
    count = int(urls.state[COUNT])
    ids = np.full(count, -1, np.int64)
    first = 0
    while (first := int(_collect(urls, sections, first, seed, ids))) < count:
        length = int(urls.figures[first, LENGTH])
        room = 2 * len(sections.arena) + length + 2
        sections = grown_strings(sections, 2 * len(sections.hashes), room)
    return sections, ids
