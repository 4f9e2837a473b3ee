"""Runs that go beyond what is promised: then all must be loud, and nothing that is served may be wrong.

Rule: what can't be known to be complete is not served; what is served is what was written, to the byte.
"""

from sim_disk import Disk
from sim_keeper import SimKeeper
from sim_oracle import demand
from sim_run import BASES, KEYS, Simulation

LOUD_AFTER_S = 25.0
CHANGES = 12


class BeyondPromise(Simulation):
    """A run with all its faults, then one that two disks do not survive."""

    def run(self) -> None:
        """Run to health, lose more than may be lost, and look at what is said."""
        super().run()
        fate = self.world.rng.choice(("rolled back", "wiped", "rows", "blobs"))
        self.world.trace(f"beyond the promise: {fate}")
        {
            "rolled back": self._roll_two_back,
            "wiped": self._wipe_two,
            "rows": self._lose_rows,
            "blobs": self._lose_blobs,
        }[fate]()

    @property
    def keeper(self) -> SimKeeper:
        """The only keeper."""
        (keeper,) = [keeper for keeper in self.keepers if keeper.is_alive]
        return keeper

    def _images(self, bases: list[int]) -> dict[int, list[Disk]]:
        return {base: [server.disk.image() for server in self.banks[base]] for base in bases}

    def _change_more(self) -> None:
        told: list[str] = []
        for number in range(CHANGES):
            self.keeper.write(KEYS[number], b"late %d" % number, blob=False, sync=True, done=told.append)
        self.world.run(self.world.now + 2.0)
        demand(told == ["durable"] * CHANGES, f"changes of a healthy volume are {told}")

    def _restart_all(self, disks: dict[int, list[Disk]]) -> None:
        self.kill_keeper(every=True)
        for base, servers in self.banks.items():
            for server, disk in zip(servers, disks.get(base, []), strict=False):
                server.kill("gets another disk")
                server.disk = disk
                server.start()
        self.start_keeper()
        self.world.run(self.world.now + LOUD_AFTER_S)

    def _roll_two_back(self) -> None:
        two = self.world.rng.sample(BASES, 2)
        images = self._images(two)
        self._change_more()
        self._restart_all(images)
        demand(not self.keeper.is_loaded, "two banks were rolled back, and the volume is served")
        demand("--accept-rollback" in self.keeper.stuck, f"what is said is {self.keeper.stuck!r}")

    def _wipe_two(self) -> None:
        two = self.world.rng.sample(BASES, 2)
        self._restart_all({base: [Disk() for _ in self.banks[base]] for base in two})
        demand(not self.keeper.is_loaded, "two banks were wiped, and the volume is served")
        demand("--accept-rollback" in self.keeper.stuck, f"what is said is {self.keeper.stuck!r}")

    def _lose_rows(self) -> None:
        """Some records are damaged or gone on every bank."""
        rng = self.world.rng
        everything = self._images(list(BASES))
        keys = sorted(key for key in self.keeper.records if key.startswith(b"i/"))
        for key in rng.sample(keys, min(2, len(keys))):
            for disk in (disks[0] for disks in everything.values()):
                if key in disk.rows and rng.random() < 0.5:
                    del disk.rows[key]
                elif key in disk.rows:
                    row = disk.rows[key]
                    disk.rows[key] = type(row)(key, row.slot, row.value + b"!", row.mac)
        self._restart_all(everything)

    def _lose_blobs(self) -> None:
        """Some blobs are damaged the same way on every bank."""
        everything = self._images(list(BASES))
        lost = set(sorted(self.keeper.blobs.wanted())[::2])
        for disks in everything.values():
            for name in lost:
                disks[0].spoil_blob(name)
        self._restart_all(everything)
        said = self.keeper.lost_blobs
        demand(said == lost, f"blobs {sorted(lost)} are lost, {sorted(said)} are said to be")
