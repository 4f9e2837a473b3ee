"""A volume of which one bank is left, in the simulation: loud until accepted, then whole and unchanged."""

import pytest

from sim_keeper import SimKeeper
from sim_run import BASES, Simulation


class OneBankLeft(Simulation):
    """A run with all its faults, after which two banks are wiped at once and the loss is accepted."""

    def keeper(self) -> SimKeeper:
        """Return the only keeper."""
        (keeper,) = [keeper for keeper in self.keepers if keeper.is_alive]
        return keeper

    def lose_two_banks(self) -> None:
        """Wipe all servers of two banks while nobody serves."""
        self.kill_keeper(every=True)
        left = self.world.rng.choice(BASES)
        for base in BASES:
            for server in self.banks[base]:
                server.kill() if base == left else server.wipe()
                server.start()
            if base != left:
                self.atlas.impaired[base] = self.world.now
        self.start_keeper()

    def accept(self) -> None:
        """Do what `trivet recover --accept-rollback` does."""
        leader = self.keeper().leader
        self.keeper().do(leader.accept(rollback=True, cut=False, now=self.keeper().now()))


@pytest.mark.parametrize("seed", range(12))
def test_one_bank_left_makes_the_others_anew(seed: int) -> None:
    simulation = OneBankLeft(seed)
    simulation.run()
    world = simulation.world
    before = dict(simulation.keeper().records)
    simulation.lose_two_banks()
    world.run(world.now + 20.0)
    assert not simulation.keeper().is_loaded
    assert "recover --accept-rollback" in simulation.keeper().stuck
    simulation.accept()
    simulation._await_health()
    after = simulation.keeper().records
    assert {k: v for k, v in after.items() if k[:2] == b"i/"} == {
        k: v for k, v in before.items() if k[:2] == b"i/"
    }
    simulation._write_once_more()
