"""Blobs of banks on this machine, read straight from their segment files, so that no server need wake for it.

Rule: a server only tells where a blob stands; what is read there counts after it matched the root in the
record, so a place that is stale, deleted or damaged costs one wasted read and nothing else.
Rule: the event loop waits for the disk at most PATIENCE_S at a time; a thread waits for what takes longer.
"""

import asyncio
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from trivet.wire.bank_messages import BlobPlaces
from trivet.wire.blobs import HASH_BYTES, PIECE_BYTES, BlobRef, is_intact

PATIENCE_S = 0.0004
_ON_LOOP_BYTES = 64 << 10
#: How many blobs, one named after another, to ask a server for at once.
ASKED_AT_ONCE = 64
_PLACES_MAX = 32_768
_HASHES_MAX = 2048
_FILES_MAX = 32
_UNUSED_S = 2.0
_THREADS = 4


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the first byte of a copy stands; its sub-hashes stand right before."""

    bank: int
    path: Path
    at: int


class NearBlobs:
    """Remembers where blobs stand and reads them there."""

    def __init__(self) -> None:
        self._places: OrderedDict[int, _Place] = OrderedDict()
        self._hashes: OrderedDict[int, bytes] = OrderedDict()
        self._files: dict[Path, int] = {}
        self._used_at: dict[Path, float] = {}
        self._reading = 0
        self._pool = ThreadPoolExecutor(_THREADS, "near")
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close the files; nothing is read any more."""
        self._pool.shutdown()
        if self._timer is not None:
            self._timer.cancel()
        for path in list(self._files):
            self._close_file(path)

    def learn(self, bank: int, server_path: Path, told: BlobPlaces) -> None:
        """Take in where a server of `bank`, which keeps its files in `server_path`, says that blobs stand."""
        folder = server_path / "segments"
        paths = [folder / Path(file).name for file in told.files]
        for name, file, at in told.places:
            if 0 <= file < len(paths):
                self._places[name] = _Place(bank, paths[file], at)
        while len(self._places) > _PLACES_MAX:
            self._places.popitem(last=False)

    def bank_of(self, name: int) -> int | None:
        """Return the bank whose copy of `name` would be read, None if none is known."""
        place = self._places.get(name)
        return None if place is None else place.bank

    async def read(self, ref: BlobRef, start: int, end: int) -> bytes | None:
        """Return the verified pieces from `start` to `end`, None when they must be asked for."""
        place = self._places.get(ref.name)
        fd = None if place is None else self._open(place.path)
        if place is None or fd is None:
            return None
        hashes = self._hashes.get(ref.name)
        data: bytes | None = None
        self._reading += 1
        try:
            if end - start <= _ON_LOOP_BYTES:
                hashes = hashes or _read_soon(fd, place.at - _hashes_bytes(ref), _hashes_bytes(ref))
                data = _read_soon(fd, place.at + start, end - start) if hashes else None
            if data is None or hashes is None:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._pool, _read_checked, fd, place.at, ref, start, end)
            else:
                found = (hashes, data) if is_intact(ref, hashes, start, data) else None
        except OSError:
            found = None
        finally:
            self._reading -= 1
        if found is None:
            self._forget(ref.name)
            return None
        self._hashes[ref.name] = found[0]
        while len(self._hashes) > _HASHES_MAX:
            self._hashes.popitem(last=False)
        return found[1]

    def _forget(self, name: int) -> None:
        self._places.pop(name, None)
        self._hashes.pop(name, None)

    def _open(self, path: Path) -> int | None:
        fd = self._files.get(path)
        if fd is None:
            try:
                fd = os.open(path, os.O_RDONLY)
            except OSError:
                return None
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)  # read-ahead is ours: whole blobs, in threads
            self._files[path] = fd
        self._used_at[path] = asyncio.get_running_loop().time()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_UNUSED_S, self._close_unused)
        return fd

    def _close_unused(self) -> None:
        """Let go of files that nobody reads: a deleted one must give its room back."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        if not self._reading:
            by_age = sorted(self._files, key=self._used_at.__getitem__, reverse=True)
            for at, path in enumerate(by_age):
                if at >= _FILES_MAX or now - self._used_at[path] > _UNUSED_S:
                    self._close_file(path)
        if self._files:
            self._timer = asyncio.get_running_loop().call_later(_UNUSED_S, self._close_unused)

    def _close_file(self, path: Path) -> None:
        os.close(self._files.pop(path))
        del self._used_at[path]


def _hashes_bytes(ref: BlobRef) -> int:
    return -(-ref.size // PIECE_BYTES) * HASH_BYTES


def _read_soon(fd: int, at: int, size: int) -> bytes | None:
    """Return `size` bytes at `at` if they are in memory or there within PATIENCE_S, else None."""
    buffer = bytearray(size)
    is_asked = False
    until = 0.0
    while True:
        try:
            return bytes(buffer) if os.preadv(fd, [buffer], at, os.RWF_NOWAIT) == size else None
        except BlockingIOError:
            pass
        except OSError:
            return None  # a file system that can't tell
        if not is_asked:
            is_asked = True
            os.posix_fadvise(fd, at, size, os.POSIX_FADV_WILLNEED)
            until = perf_counter() + PATIENCE_S
        elif perf_counter() > until:
            return None


def _read_checked(fd: int, at: int, ref: BlobRef, start: int, end: int) -> tuple[bytes, bytes] | None:
    """Return (sub-hashes, pieces) if they are what `ref` names; blocks."""
    hashes = os.pread(fd, _hashes_bytes(ref), at - _hashes_bytes(ref))
    data = os.pread(fd, end - start, at + start)
    return (hashes, data) if is_intact(ref, hashes, start, data) else None
