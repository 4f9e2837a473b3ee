"""What a worker of the HTTP door and the upstream's process tell each other of the cache, once a second.

Rule: a worker tells what it served since it told last; what was not answered for is told again.
"""

from typing import Any

import msgspec

from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.volume_folder import VolumeFolder

#: So many files are named in one report; the rest comes with the next.
USES_MAX = 1000


class Served(msgspec.Struct):
    """What one worker has served of an upstream.

    `described` times it told names and attributes, `not_there` times that there is no such name, `refused`
    times a body that would have had to be fetched to a user beyond their limit.
    """

    memory_hits: int = 0
    memory_misses: int = 0
    memory_bytes: int = 0
    volume_bytes: int = 0
    described: int = 0
    not_there: int = 0
    refused: int = 0


class WorkerReport(msgspec.Struct, frozen=True):
    """What the worker `worker` keeps in memory and has served, by upstream; `uses` are (inode, how often)."""

    worker: str
    items: int
    size_bytes: int
    limit_bytes: int
    served: dict[str, Served]
    uses: list[tuple[int, int]]


class Standing(msgspec.Struct, frozen=True):
    """How the upstream at the path `at` stands: what is here may be all there is (`is_spent`, `is_cut_off`).

    `polled_s` is when the vendor told its changes last, None for never; `outdated` are the inodes of
    bodies of which newer ones are on their way.
    """

    name: str
    at: str
    is_spent: bool
    is_cut_off: bool
    polled_s: float | None
    outdated: list[int]


class Standings(msgspec.Struct, frozen=True):
    """Every upstream of a drive."""

    upstreams: list[Standing]


async def report(folder: VolumeFolder, told: WorkerReport) -> Standings | None:
    """Tell the process of the upstreams what a worker has served; None if it does not run."""
    try:
        answer = await ask(folder.upstream_socket, "served", msgspec.to_builtins(told))
    except (NotRunning, Remote):
        return None
    return msgspec.convert(answer, Standings)


async def ask_cache(folder: VolumeFolder) -> dict[str, Any]:
    """Return what `trivet cache --json` tells; nothing where no upstream runs."""
    try:
        return await ask(folder.upstream_socket, "cache")
    except NotRunning:
        return {"caches": []}
