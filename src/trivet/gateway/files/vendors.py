"""What a worker knows of the vendors behind folders, and what it has served of them.

Rule: X-Cache and Age are told of every answer with a vendor's bytes. Age is how long ago the vendor told its
changes last: until then what is here was its newest.
Rule: while the process of the upstreams does not answer, what is here is served and marked.
"""

import os
import time
from collections import Counter

from trivet.gateway.files.hot_files import KEPT_BYTES, HotFiles
from trivet.gateway.usage import beyond
from trivet.io.cache_report import USES_MAX, Served, Standing, WorkerReport, report
from trivet.io.volume_folder import VolumeFolder


class Vendors:
    """The upstreams of the drive in `folder`; `tell` asks how they stand."""

    def __init__(self, folder: VolumeFolder) -> None:
        self._folder = folder
        self._standings: list[Standing] = []
        self._is_answered = False
        self._served: dict[str, Served] = {}
        self._uses: Counter[int] = Counter()

    def of(self, path: str) -> Standing | None:
        """Return the upstream that the file at `path` belongs to, None if it is of no vendor."""
        for one in self._standings:
            if path.startswith(one.at) and path[len(one.at) :][:1] in ("", "/"):
                return one
        return None

    def headers(self, one: Standing | None, ino: int, *, fetched: bool) -> dict[str, str]:
        """Return what an answer with the body of `ino` tells of the cache; nothing for a file of no vendor.

        `fetched`: it came from the vendor for this request.
        """
        if one is None:
            return {}
        if fetched:
            return {"X-Cache": "MISS", "Age": "0"}
        if one.is_spent or beyond.get() is not None:
            found = "HIT-QUOTA"
        elif one.is_cut_off or not self._is_answered or ino in one.outdated:
            found = "STALE"
        else:
            found = "HIT"
        age_s = 0 if one.polled_s is None else max(0, int(time.time() - one.polled_s))
        return {"X-Cache": found, "Age": str(age_s)}

    def served(self, one: Standing | None, size_bytes: int, *, small: bool) -> None:
        """Count bytes that came from the volume; memory might have had a `small` file."""
        if one is not None:
            served = self._of(one)
            served.memory_misses += small
            served.volume_bytes += size_bytes

    def served_hot(self, one: Standing | None, ino: int, size_bytes: int) -> None:
        """Count bytes that came from this worker's memory."""
        if one is not None:
            served = self._of(one)
            served.memory_hits += 1
            served.memory_bytes += size_bytes
            self._uses[ino] += 1

    def refused(self, one: Standing | None) -> None:
        """Count a body that is not here, and is not fetched for a user beyond their limit."""
        if one is not None:
            self._of(one).refused += 1

    def described(self, path: str) -> None:
        """Count that the attributes of the file at `path` were told."""
        if self._standings and (one := self.of(path)) is not None:
            self._of(one).described += 1

    def not_there(self, path: str) -> None:
        """Count that nothing is at `path`."""
        if self._standings and (one := self.of(path)) is not None:
            self._of(one).not_there += 1

    def _of(self, one: Standing) -> Served:
        return self._served.setdefault(one.name, Served())

    async def tell(self, hot: HotFiles) -> None:
        """Tell what was served, and hear how the upstreams stand."""
        if not self._standings and not self._folder.upstream_socket.exists():
            return
        served, self._served = self._served, {}
        uses = dict(self._uses.most_common(USES_MAX))
        for ino in uses:
            del self._uses[ino]
        told = WorkerReport(
            str(os.getpid()), hot.items, hot.size_bytes, KEPT_BYTES, served, list(uses.items())
        )
        answer = await report(self._folder, told)
        self._is_answered = answer is not None
        if answer is not None:
            self._standings = answer.upstreams
            return
        self._uses.update(uses)
        for name, one in served.items():
            self._served[name] = _sum(one, self._served.get(name, Served()))


def _sum(one: Served, two: Served) -> Served:
    return Served(*(getattr(one, name) + getattr(two, name) for name in Served.__struct_fields__))
