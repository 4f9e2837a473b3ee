"""A volume whose journal is in a real PostgreSQL, driven as a person does it."""

import itertools
import os
import shutil
import threading
import time
from pathlib import Path

from drive_under_test import Drive
from real_postgres import RealPostgres

MIB = 1 << 20


class VolumeOnEngines(Drive):
    """A drive whose journal is in `server` (a schema of the test's own) and whose blobs are below `store`."""

    def __init__(self, place: Path, server: RealPostgres, schema: str, store: Path) -> None:
        super().__init__(place, servers=1)
        self.bases = self.bases[:1]
        self.postgres, self.schema, self.store = server, schema, store
        blobs = f"file://{store}?cache_bytes=0"
        self.options = ["--journal", f"{server.url}?schema={schema}", "--blobs", blobs]

    def reach_database_by(self, port: int) -> None:
        """Go to the database through `port` of this machine, a relay's, from the next start on."""
        self.options[1] = self.options[1].replace(f":{self.postgres.port}/", f":{port}/")

    def begin(self, *options: str, expect: int | None = 0) -> str:
        """Bring it up with the options that make or join the volume; return what was said."""
        done = self.up(*self.options, *options, expect=expect)
        return done.stdout + done.stderr

    def lose_state(self) -> None:
        """Kill every process at once and remove the state folder, as when the machine is gone."""
        for process in self.processes():
            process.kill()
        self.free_folder()
        shutil.rmtree(self.state)


def write_some(folder: Path, name: str) -> dict[str, bytes]:
    """Write small and large files, synced; return what is in them by their path."""
    written = {
        f"{name}/small": os.urandom(3000),
        f"{name}/large": os.urandom(3 * MIB + 17),
        f"{name}/none": b"",
    }
    (folder / name).mkdir()
    for path, content in written.items():
        with (folder / path).open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
    return written


def assert_all_there(folder: Path, written: dict[str, bytes]) -> None:
    """Assert that every file holds what was written."""
    assert {path: (folder / path).read_bytes() for path in written} == written


class SteadyWriter:
    """Writes file after file, synced, in a thread for the time of a block; remembers what was acknowledged.

    `refused` counts the writes that failed, `slowest_s` is how long one took to be done or refused.
    """

    def __init__(self, folder: Path, name: str = "load") -> None:
        self._folder = folder
        self._name = name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: dict[str, bytes] = {}
        self.refused = 0
        self.slowest_s = 0.0

    def __enter__(self) -> "SteadyWriter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        for number in itertools.count():
            if self._ended.is_set():
                return
            path, began = f"{self._name}-{number}", time.monotonic()
            content = os.urandom(100_000 if number % 10 == 0 else 1000)
            try:
                with (self._folder / path).open("xb") as file:
                    file.write(content)
                    os.fsync(file.fileno())
            except OSError:
                self.refused += 1
                time.sleep(0.05)
            else:
                self.acknowledged[path] = content
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def wait_for_more(self, count: int = 20, deadline_s: float = 60) -> None:
        """Wait until `count` more writes were acknowledged."""
        wanted, until = len(self.acknowledged) + count, time.monotonic() + deadline_s
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until, f"{len(self.acknowledged)} of {wanted} acknowledged"
            time.sleep(0.02)
