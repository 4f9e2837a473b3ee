"""Faults under load of a volume on a real PostgreSQL: kills, its database dies, hangs, is cut off; takeovers.

TRIVET_ENGINE_FAULTS says how many faults there are, TRIVET_SEED which, and when.
"""

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import SystemRandom

import pytest

from cut_relay import CutRelay
from real_postgres import RealPostgres
from steady_load import LOUD, SteadyLoad
from volume_on_engines import VolumeOnEngines

FAULTS = int(os.environ.get("TRIVET_ENGINE_FAULTS", "3"))
SEED = int(os.environ.get("TRIVET_SEED") or SystemRandom().randrange(1 << 30))
KINDS = (
    "keeper killed",
    "server killed",
    "database killed",
    "database hangs",
    "cut off from the database",
    "taken over",
    "machine lost",
)
#: Whose keeper is deposed has no drive in its folder any more, and the folder itself takes nothing.
NOTHING_MOUNTED = {errno.ENOENT, errno.EPERM}
HEALTHY_WITHIN_S = 60


class TwoMachines:
    """Two state folders and mounts of one volume, of which one serves; its database is behind a relay."""

    def __init__(self, place: Path, postgres: RealPostgres, relay: CutRelay) -> None:
        schema = f"v{os.urandom(4).hex()}"
        self.serving, self.other = (
            VolumeOnEngines(place / name, postgres, schema, place / "store") for name in ("one", "two")
        )
        for machine in (self.serving, self.other):
            machine.reach_database_by(relay.port)
        self._postgres, self._relay = postgres, relay
        self.serving.begin()

    def strike(self, kind: str, load: SteadyLoad) -> None:
        """Do what `kind` says; return once `load` goes on, or has ended for good."""
        if kind == "taken over":
            self.other.begin()
            load.end()
            self.serving.trivet("down")
            self.serving, self.other = self.other, self.serving
        elif kind == "machine lost":
            for process in self.serving.processes():
                process.kill()
            load.end()
            self.serving.lose_state()
            self.serving.begin()
        else:
            self._strike_and_go_on(kind, load)
            load.wait_more(5)
            load.end()

    def _strike_and_go_on(self, kind: str, load: SteadyLoad) -> None:
        if kind == "keeper killed":
            self.serving.kill(self.serving.keeper_pid())
        elif kind == "server killed":
            self.serving.kill(self.serving.server_pid(self.serving.bases[0]))
        elif kind == "database killed":
            self._postgres.kill()
            self._postgres.start()
        elif kind == "database hangs":
            with self._postgres.hanging():
                load.wait_refused()
        else:
            with self._relay.cut():
                load.wait_refused()

    def close(self) -> None:
        """End both; what they leave behind is a failure."""
        for machine in (self.serving, self.other):
            print(machine.logs())
        for machine in (self.serving, self.other):
            machine.close()


@pytest.fixture
def machines(postgres: RealPostgres, tmp_path: Path) -> Iterator[TwoMachines]:
    """A volume that is up, and a second machine that may take it over."""
    with CutRelay().running(postgres.port) as relay:
        made = TwoMachines(tmp_path, postgres, relay)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.timeout(0 if FAULTS > 10 else 300)
def test_what_was_acknowledged_is_there_after_every_fault(machines: TwoMachines) -> None:
    rng = random.Random(SEED)
    kinds: list[str] = []
    counts: Counter[str] = Counter()
    right, longest_s = 0, 0.0
    for number in range(FAULTS):
        kinds = kinds or rng.sample(KINDS, len(KINDS))
        kind = kinds.pop()
        print(f"TRIVET_SEED={SEED}, fault {number}: {kind}", flush=True)
        load = SteadyLoad(
            machines.serving.folder / f"fault-{number}", rng.getrandbits(32), LOUD | NOTHING_MOUNTED
        )
        load.start()
        load.wait_more(rng.randrange(5, 40))
        machines.strike(kind, load)
        load.folder = machines.serving.folder / load.folder.name
        machines.serving.wait_healthy(HEALTHY_WITHIN_S)
        right += load.assert_kept()
        counts.update(load.counts, **{kind: 1})
        longest_s = max(longest_s, load.longest_s)
        shutil.rmtree(load.folder)
    print(f"{right} files right, {dict(counts)}, the longest change {longest_s:.1f} s")
