"""Somebody who writes, replaces and deletes files without end, and knows what he was told.

Rule: a change that returned must hold; of one that failed loudly either outcome is right; no other name, and
no other bytes, may ever be there.
"""

import errno
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Set
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import NamedTuple

LOUD = {errno.EIO, errno.ENOTCONN, errno.ECONNABORTED}
FILES = 150
PROGRESS_WITHIN_S = 60.0
SIZES = (10, 4000, 70_000, 400_000)


class Body(NamedTuple):
    """What a file holds, as a recipe."""

    seed: int
    size: int

    def data(self) -> bytes:
        return random.Random(self.seed).randbytes(self.size)


class SteadyLoad(threading.Thread):
    """Works in a new folder; `may` has, for each name, the bodies it may have (None: it may be absent).

    A change may fail with an errno of `loud`.
    """

    def __init__(self, folder: Path, seed: int, loud: Set[int] = LOUD) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.done = 0
        self.longest_s = 0.0
        self.counts: Counter[str] = Counter()
        self._loud = loud
        self._rng = random.Random(seed)
        self._may: dict[str, set[Body | None]] = {}
        self._ever: dict[str, list[Body]] = {}
        self._number = 0
        self._ended = threading.Event()
        self._bug: BaseException | None = None
        folder.mkdir()

    def run(self) -> None:
        """Work until `end`."""
        try:
            while not self._ended.is_set():
                began = time.monotonic()
                try:
                    self._change_one()
                    self.done += 1
                    self.longest_s = max(self.longest_s, time.monotonic() - began)
                except OSError as error:
                    if error.errno not in self._loud:
                        raise
                    self.counts["loud errors"] += 1
                    time.sleep(0.02)
        except BaseException as bug:
            self._bug = bug
            raise

    def _change_one(self) -> None:
        self._number += 1
        known = [name for name, bodies in self._may.items() if bodies != {None}]
        if len(known) >= FILES or (known and self._number % 5 == 0):
            name = known[0]
            may_be_absent = None in self._may[name]
            self._may[name].add(None)
            try:
                (self.folder / name).unlink()
            except FileNotFoundError:
                if not self.folder.is_dir():  # no drive is mounted
                    raise
                assert may_be_absent, f"{name} was not there to be deleted"
            self._may[name] = {None}
            self.counts["deleted"] += 1
            return
        is_new = not known or self._number % 3
        name = f"{self._number:06d}" if is_new else self._rng.choice(known)
        body = Body(self._rng.getrandbits(48), self._rng.choice(SIZES))
        part = self.folder / f"{name}.part"
        with part.open("wb") as file:
            file.write(body.data())
            if self._number % 4 == 0:
                file.flush()
                os.fsync(file.fileno())
                self.counts["synced"] += 1
        self._may.setdefault(name, {None}).add(body)
        self._ever.setdefault(name, []).append(body)
        part.rename(self.folder / name)
        self._may[name] = {body}
        self.counts["written"] += 1

    def wait_more(self, count: int) -> None:
        """Return once `count` more changes were acknowledged."""
        wanted = self.done + count
        self._wait_until(lambda: self.done >= wanted)

    def wait_refused(self) -> None:
        """Return once one more change failed loudly."""
        refused = self.counts["loud errors"]
        self._wait_until(lambda: self.counts["loud errors"] > refused)

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + PROGRESS_WITHIN_S
        while not is_so():
            assert self._bug is None, self._bug
            assert time.monotonic() < until, f"no progress within {PROGRESS_WITHIN_S} s"
            time.sleep(0.005)

    def end(self) -> None:
        """Stop working."""
        self._ended.set()
        self.join(PROGRESS_WITHIN_S)
        assert not self.is_alive(), "a change never returned"
        assert self._bug is None, self._bug

    def assert_kept(self) -> int:
        """Read everything; return how many files were read and right."""
        found = {name for name in os.listdir(self.folder) if not name.endswith(".part")}
        assert found <= self._may.keys(), f"phantoms: {sorted(found - self._may.keys())[:5]}"
        for name, bodies in self._may.items():
            if name not in found:
                assert None in bodies, f"{name} is lost"
                continue
            data = (self.folder / name).read_bytes()
            right = any(body is not None and body.data() == data for body in bodies)
            assert right, f"wrong bytes in {name}: {self._what_is_wrong(name, data)}"
        assert found, "nothing was there to be looked at"
        return len(found)

    def _what_is_wrong(self, name: str, data: bytes) -> str:
        """Tell which of the bodies `name` ever had begins as `data` does, and how far."""
        same = [sum(takewhile(bool, map(eq, body.data(), data))) for body in self._ever[name]]
        may = [body and body.size for body in self._may[name]]
        return f"{len(data)} bytes; right sizes {may}; as in its bodies, oldest first: {same} bytes"
