"""One bank away, hung or cut off costs nobody an operation; a wiped one is back within seconds."""

import pytest

from whole_drive import BASES
from whole_run import WholeRun

AWAY_S = 12.0
STALL_S = 2.0
BACK_WITHIN_S = 10.0


class OneBankDown(WholeRun):
    """A drive at work of which one bank is lost in one way, and nothing else goes wrong."""

    def __init__(self, seed: int, cause: str) -> None:
        super().__init__(seed)
        self.cause = cause
        self.back_after_s = 0.0

    async def _go_wrong(self) -> None:
        drive = self.drive
        base = drive.rng.choice(BASES)
        until = drive.loop.time() + AWAY_S
        for port in drive.bank_ports(base):
            if self.cause == "killed":
                drive.kill_server(port)
                drive.away[port] = drive.now + AWAY_S
            elif self.cause == "hung":
                drive.servers[port].hung_until = until
            elif self.cause == "cut off":
                drive.network.blocked[str(port), "from"] = until
            else:
                drive.wipe(port)
        began = drive.now
        while self.cause == "wiped" and not self._counts(base):
            await drive.sleep(0.1)
        self.back_after_s = drive.now - began
        await drive.sleep(AWAY_S)

    def _counts(self, base: int) -> bool:
        assert self.drive.keeper is not None
        assert self.drive.keeper.keeper is not None
        shell = self.drive.keeper.keeper.shell
        return shell is not None and shell.leader.reign.followers[base].counted


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("cause", ["killed", "hung", "cut off", "wiped"])
def test_one_bank_down_fails_and_stalls_nobody(cause: str, seed: int) -> None:
    run = OneBankDown(seed, cause)
    run.run()
    assert not run.outcomes.keys() & {"failed", "unknown"}
    assert run.people.slowest_s < STALL_S
    assert run.back_after_s < BACK_WITHIN_S
