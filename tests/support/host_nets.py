"""Hosts of a drive as network namespaces, joined by a switch of their own, whose cables can be pulled out.

Rule: everything is made inside namespaces that end with the processes that hold them, never in the machine's
own; those end with the test, whatever becomes of it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_HOLDER = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--", "sleep", "900"]
_DEADLINE_S = 20
_COMMAND_DEADLINE_S = 90


class HostNets:
    """The switch and the hosts behind it; `hosts` are their addresses, in one network."""

    def __init__(self, switch: int, holders: dict[str, int]) -> None:
        self._switch = switch
        self._holders = holders

    def words(self, host: str) -> list[str]:
        """Return what to put before a command so that it runs on `host`."""
        return _within(self._holders[host])

    def trivet(self, host: str, *words: str, expect: int = 0) -> str:
        """Type `trivet WORDS` on `host`; return all it says, and assert its exit code."""
        command = [*self.words(host), sys.executable, "-m", "trivet", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_DEADLINE_S)
        said = done.stdout + done.stderr
        assert done.returncode == expect, f"{host} {words}: {done.returncode}\n{said}"
        return said

    def pull_out(self, host: str) -> None:
        """Pull out the cable of `host`: nothing reaches it any more, and it reaches nobody."""
        self._set(host, "down")

    def plug_in(self, host: str) -> None:
        """Plug it in again."""
        self._set(host, "up")

    def _set(self, host: str, state: str) -> None:
        _run(self._switch, ["ip", "link", "set", _port(list(self._holders), host), state])


@contextmanager
def host_nets(hosts: Sequence[str]) -> Iterator[HostNets]:
    """Make a host for each address of `hosts`, all plugged in."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        processes.extend(subprocess.Popen(_HOLDER) for _ in (None, *hosts))
        for process in processes:
            _wait_apart(process.pid)
        switch, holders = processes[0].pid, dict(zip(hosts, (p.pid for p in processes[1:]), strict=True))
        _run(switch, ["ip", "link", "add", "switch", "type", "bridge"])
        _run(switch, ["ip", "link", "set", "switch", "up"])
        for host, pid in holders.items():
            port = _port(hosts, host)
            _run(
                switch, ["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(pid)]
            )
            _run(switch, ["ip", "link", "set", port, "master", "switch", "up"])
            _run(pid, ["ip", "address", "add", f"{host}/24", "dev", "eth0"])
            for device in ("lo", "eth0"):
                _run(pid, ["ip", "link", "set", device, "up"])
        yield HostNets(switch, holders)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _port(hosts: Sequence[str], host: str) -> str:
    return f"port{hosts.index(host)}"


def _within(pid: int) -> list[str]:
    return ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]


def _run(pid: int, command: list[str]) -> None:
    done = subprocess.run([*_within(pid), *command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _wait_apart(pid: int) -> None:
    """Wait until the process has a network of its own."""
    until = time.monotonic() + _DEADLINE_S
    while _network(pid) == _network("self"):
        assert time.monotonic() < until, "no network namespace was made"
        time.sleep(0.01)


def _network(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")
